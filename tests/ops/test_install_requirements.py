"""script/install-requirements: which torch is asked for, and where. Only pip and uname are not real."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "script" / "install-requirements"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"

# A Python whose pip writes down what it is asked to do, and cannot find what it is told not to.
PYTHON = """#!/bin/sh
echo "$*" >>calls
case "$*" in $MISSING) echo "no such distribution" >&2; exit 1 ;; esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, script in {"python": PYTHON, "uname": '#!/bin/sh\necho "$SYSTEM"\n'}.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "requirements.txt").write_text("pillow==13.0.0\ntorch==2.13.0    # via diffusers\n")
    (tmp_path / "requirements-dev.txt").write_text("pytest==9.2.0\n")
    return tmp_path


def install(folder: Path, torch: str, *files: str, missing: str = "", system: str = "Linux") -> tuple[int, list[str]]:
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "MISSING": missing, "SYSTEM": system}
    command = [str(SCRIPT), "./python", torch, *files]
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    prefix = "-m pip install --disable-pip-version-check --quiet "
    return process.returncode, [call.removeprefix(prefix) for call in (folder / "calls").read_text().splitlines()]


def test_the_cpu_build_is_taken_from_where_pip_looks_anyway(folder: Path) -> None:
    status, calls = install(folder, "cpu", "requirements.txt")
    assert status == 0
    assert calls == ["--no-deps torch==2.13.0+cpu", "--requirement requirements.txt"]


def test_else_the_cpu_build_is_taken_from_the_index_of_pytorch(folder: Path) -> None:
    status, calls = install(folder, "cpu", "requirements.txt", missing="*--no-deps?torch==2.13.0+cpu")
    assert status == 0
    assert calls[1] == f"--no-deps --extra-index-url {CPU_INDEX} torch==2.13.0+cpu"
    assert calls[2] == "--requirement requirements.txt"


def test_without_a_cpu_build_nothing_else_is_installed(folder: Path) -> None:
    status, calls = install(folder, "cpu", "requirements.txt", missing="*torch==2.13.0+cpu")
    assert status == 1
    assert len(calls) == 2
    assert all("+cpu" in call for call in calls)


def test_on_macos_the_only_build_is_the_pinned_one(folder: Path) -> None:
    status, calls = install(folder, "cpu", "requirements.txt", system="Darwin")
    assert status == 0
    assert calls == ["--requirement requirements.txt"]


def test_with_cuda_the_pin_is_asked_for_and_no_cpu_build(folder: Path) -> None:
    status, calls = install(folder, "cuda", "requirements.txt", "requirements-dev.txt")
    assert status == 0
    assert calls == ["torch==2.13.0,!=2.13.0+cpu --requirement requirements.txt --requirement requirements-dev.txt"]


def test_an_unknown_build_is_refused(folder: Path) -> None:
    process = subprocess.run(
        [SCRIPT, "./python", "rocm", "requirements.txt"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    assert "rocm" in process.stderr
    assert not (folder / "calls").exists()
