"""`cog.yaml`: which predictor a folder serves, and in what environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from server.errors import ManifestError

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


@dataclass(frozen=True)
class Manifest:
    """What serving needs to know of a model's folder.

    Attributes:
        directory: the folder, absolute.
        predictor: a reference such as `predict.py:Predictor`, relative to the folder.
        environment: variables that the model is to find; those already set outside are stronger.
        max_concurrency: how many predictions may run at once, where the manifest says it.
    """

    directory: Path
    predictor: str
    environment: Mapping[str, str] = field(default_factory=dict)
    max_concurrency: int | None = None


def load_manifest(directory: Path, predictor: str | None = None) -> Manifest:
    """Read `cog.yaml` in `directory`; `predictor`, if given, is stronger than what it names.

    Raises:
        ManifestError: there is no such file and no `predictor`, or its content cannot be used.
    """
    path = directory.absolute() / "cog.yaml"
    if not path.is_file():
        if predictor:
            return Manifest(path.parent, predictor)
        raise ManifestError(
            f"There is no cog.yaml in {path.parent}, so nothing says what to serve. Run this in a model's folder, "
            "write a cog.yaml with the line `predict: predict.py:Predictor`, or give --predictor predict.py:Predictor."
        )
    content = _read(path)
    reference = predictor or content.get("run") or content.get("predict")
    if not isinstance(reference, str):
        raise ManifestError(
            f"{path} names nothing to serve: its `predict` (or `run`) is {reference!r}. "
            "Write a line such as `predict: predict.py:Predictor`."
        )
    return Manifest(path.parent, reference, _environment(path, content), _max_concurrency(path, content))


def manifest_environment(directory: Path) -> dict[str, str]:
    """The variables that `cog.yaml` in `directory` sets; none if there is no such file.

    Raises:
        ManifestError: it cannot be used.
    """
    path = directory.absolute() / "cog.yaml"
    return _environment(path, _read(path)) if path.is_file() else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise ManifestError(f"{path} cannot be read as YAML: {error}. Correct it.") from error
    if not isinstance(content, dict):
        raise ManifestError(
            f"{path} holds {type(content).__name__}, not the mapping that Cog describes. "
            "Start with a line such as `predict: predict.py:Predictor`."
        )
    return content


def _environment(path: Path, content: dict[str, Any]) -> dict[str, str]:
    entries = content.get("environment") or []
    if not isinstance(entries, list):
        raise ManifestError(f"{path}: `environment` is {entries!r}. Write a list of NAME=value strings.")
    for entry in entries:
        if not isinstance(entry, str) or not _ASSIGNMENT.match(entry):
            raise ManifestError(f"{path}: `environment` holds {entry!r}. Write each entry as NAME=value.")
    return dict(entry.split("=", 1) for entry in entries)


def _max_concurrency(path: Path, content: dict[str, Any]) -> int | None:
    concurrency = content.get("concurrency")
    if concurrency is None:
        return None
    maximum = concurrency.get("max") if isinstance(concurrency, dict) else None
    if type(maximum) is not int or maximum < 1:
        raise ManifestError(
            f"{path}: `concurrency` is {concurrency!r}. Write `concurrency:` and below it `max: N`, N from 1 on."
        )
    return maximum
