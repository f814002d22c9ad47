"""`cog.yaml`: what a folder serves, and in what environment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from server.errors import ManifestError
from server.schema.signature import Mode

USED_KEYS = ("concurrency", "environment", "predict", "run", "train")
"""The keys of `cog.yaml` that serving goes by."""

IGNORED_KEYS = ("build", "concurrency.default_target", "image", "model", "observability", "tests", "weights")
"""Those that Cog knows, too, but that are for other programs: for `cog build` and `cog push` above all."""

_REMEDIES = {
    Mode.PREDICT: ("`run` and no `predict`", "predict: predict.py:Predictor", "--predictor predict.py:Predictor"),
    Mode.TRAIN: ("`train`", "train: train.py:train", "--trainer train.py:train"),
}

_REFERENCE = re.compile(r".+\.py(:[^\W\d]\w*)?")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


@dataclass(frozen=True)
class Manifest:
    """What serving needs to know of a model's folder.

    Attributes:
        directory: the folder, absolute.
        predictor: a reference such as `predict.py:Predictor`, relative to the folder; `None` where none is named.
        trainer: the same of what trains, such as `train.py:train`.
        environment: variables that the server and the model are to find; those already set outside are stronger.
        max_concurrency: how many predictions may run at once, where the manifest says it.
        ignored: the keys in it, out of `IGNORED_KEYS`, that change nothing here.
        unknown: the keys in it that Cog does not know either.
        exists: whether there is a `cog.yaml`.
    """

    directory: Path
    predictor: str | None = None
    trainer: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    max_concurrency: int | None = None
    ignored: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    exists: bool = True

    @property
    def path(self) -> Path:
        """Where `cog.yaml` is, or would be."""
        return self.directory / "cog.yaml"

    def choose(self, mode: Mode, predictor: str | None = None, trainer: str | None = None) -> Manifest:
        """The same with `predictor` and `trainer`, where they are given, in the place of what it names.

        Raises:
            ManifestError: nothing is named for the mode.
        """
        chosen = replace(self, predictor=predictor or self.predictor, trainer=trainer or self.trainer)
        if chosen.reference(mode) is None:
            keys, line, flag = _REMEDIES[mode]
            if self.exists:
                raise ManifestError(
                    f"{self.path} names nothing to {mode}: it has no {keys}. "
                    f"Write a line such as `{line}`, or give {flag}."
                )
            raise ManifestError(
                f"There is no cog.yaml in {self.directory}, so nothing says what to serve. Run this in a model's "
                f"folder, write a cog.yaml with the line `{line}`, or give {flag}."
            )
        return chosen

    def reference(self, mode: Mode) -> str | None:
        """What is run in a mode."""
        return self.predictor if mode is Mode.PREDICT else self.trainer

    def warnings(self) -> Iterator[str]:
        """A sentence or two for each unknown key, with what may have been meant."""
        known = sorted((*USED_KEYS, *IGNORED_KEYS))
        for key in self.unknown:
            meant = next(iter(get_close_matches(key, known, n=1)), None)
            yield (
                f"{self.path}: `{key}` is no key that Cog knows, and is ignored. "
                + (f"Did you mean `{meant}`? " if meant else "")
                + f"The keys are {', '.join(known)}."
            )


def load_manifest(directory: Path) -> Manifest:
    """Read `cog.yaml` in `directory`; without one, the manifest names nothing.

    Raises:
        ManifestError: its content cannot be used.
    """
    path = directory.absolute() / "cog.yaml"
    if not path.is_file():
        return Manifest(path.parent, exists=False)
    content = _read(path)
    if content.get("predict") is not None and content.get("run") is not None:
        raise ManifestError(
            f"{path} has both `predict: {content['predict']}` and `run: {content['run']}`, and only one can be what is "
            "served. Remove one; `predict` is the older name of `run`."
        )
    keys = [*content, *(f"concurrency.{key}" for key in _mapping(content.get("concurrency")) if key != "max")]
    return Manifest(
        path.parent,
        predictor=_reference(path, content, "run") or _reference(path, content, "predict"),
        trainer=_reference(path, content, "train"),
        environment=_environment(path, content),
        max_concurrency=_max_concurrency(path, content),
        ignored=tuple(key for key in keys if key in IGNORED_KEYS),
        unknown=tuple(str(key) for key in keys if key not in (*USED_KEYS, *IGNORED_KEYS)),
    )


def _read(path: Path) -> dict[Any, Any]:
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


def _reference(path: Path, content: dict[Any, Any], key: str) -> str | None:
    reference = content.get(key)
    if reference is None:
        return None
    if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
        example = {"run": "run.py:Runner", "predict": "predict.py:Predictor", "train": "train.py:train"}[key]
        raise ManifestError(
            f"{path}: `{key}` is {reference!r}, not a Python file and a class or function in it. "
            f"Write a line such as `{key}: {example}`."
        )
    return reference


def _environment(path: Path, content: dict[Any, Any]) -> dict[str, str]:
    entries = content.get("environment") or []
    if not isinstance(entries, list):
        raise ManifestError(f"{path}: `environment` is {entries!r}. Write a list of NAME=value strings.")
    environment: dict[str, str] = {}
    for entry in entries:
        if not isinstance(entry, str) or not _ASSIGNMENT.match(entry):
            raise ManifestError(f"{path}: `environment` holds {entry!r}. Write each entry as NAME=value.")
        name, _, value = entry.partition("=")
        if name in environment:
            raise ManifestError(f"{path}: `environment` sets {name} twice, and only one can count. Remove one.")
        environment[name] = value
    return environment


def _max_concurrency(path: Path, content: dict[Any, Any]) -> int | None:
    concurrency = content.get("concurrency")
    if concurrency is None:
        return None
    maximum = _mapping(concurrency).get("max")
    if type(maximum) is not int or maximum < 1:
        raise ManifestError(
            f"{path}: `concurrency` is {concurrency!r}. Write `concurrency:` and below it `max: N`, N from 1 on."
        )
    return maximum


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}
