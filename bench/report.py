"""What was measured: printed at once, and kept in a JSON file that is whole after every measurement."""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.gpu import first_gpu
from bench.workloads import ROOT

Run = dict[str, Any]
"""One measurement: `section`, `model`, `date`, and its figures."""

_PACKAGES = ("torch", "diffusers", "transformers", "triton", "cog", "coglet", "pillow")


@dataclass(frozen=True)
class Report:
    """The file of results; several processes may add to it, one after the other.

    Attributes:
        path: the file. Where it exists, what is measured is added to it.
    """

    path: Path

    def add(self, section: str, model: str, figures: Mapping[str, Any]) -> None:
        """Keep a measurement, and print it."""
        # First: what cannot be kept is not lost.
        say(f"{section:<10} {model:<10} {line(figures)}")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        runs = read(self.path) if self.path.exists() else []
        runs.append({"section": section, "model": model, "date": now, "machine": machine(), **figures})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps({"runs": runs}, indent=1))
        # At no moment is there half a file: what measures may be killed for the time.
        partial.replace(self.path)


def read(path: Path) -> list[Run]:
    """The measurements in a file, the oldest first.

    Raises:
        ValueError: it holds none.
    """
    try:
        runs: list[Run] = json.loads(path.read_text())["runs"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"'{path}' holds no results of script/bench") from None
    return runs


def say(text: str) -> None:
    """Print a line that is seen at once, also where the output is a pipe."""
    print(text, flush=True)


def line(figures: Mapping[str, Any]) -> str:
    """Figures on one line, rounded for reading."""
    return "  ".join(f"{name} {_short(value)}" for name, value in figures.items())


@functools.cache
def machine() -> dict[str, str]:
    """Where and with what something is measured."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "device": _gpu() or f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "commit": _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD") or "unknown",
        **versions,
    }


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU to measure."""
    return bool(_gpu())


@functools.cache
def _gpu() -> str:
    table = _output("nvidia-smi", f"--id={first_gpu()}", "--query-gpu=name,driver_version", "--format=csv,noheader")
    return table.replace(", ", ", driver ", 1)


def _processor() -> str:
    if sys.platform == "linux":
        for row in Path("/proc/cpuinfo").read_text().splitlines():
            if row.startswith("model name"):
                return row.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _output(*command: str) -> str:
    """What a program prints on one line; nothing where it is not there or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _short(value: Any) -> str:
    match value:
        case float():
            return f"{value:.4g}"
        case list():
            return f"[{', '.join(map(_short, value))}]"
        case dict():
            return f"({line(value)})"
        case _:
            return str(value)
