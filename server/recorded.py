"""The inputs that make a picture again: those that its file tells, and those that only its owner can give."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from server.assignments import takes_files
from server.diffusion import redaction
from server.diffusion.digests import file_digest
from server.diffusion.metadata import Metadata
from server.errors import ReproductionError
from server.schema.signature import Signature

_WITHOUT_EFFECT = {"prompt_delimiter", "preview_interval"}
"""What a request for one picture has no use for."""

_POINTERS = ("@", "http://", "https://", "data:")


def recorded_inputs(metadata: Metadata, signature: Signature, given: Sequence[str]) -> dict[str, Any]:
    """The inputs that ask for one picture alone.

    What the model does not take is left out, which standard error is told of.

    Args:
        metadata: of the picture.
        signature: what the model takes.
        given: what the metadata does not hold, each as `name=@path` or `name=value`, in their order in a list.

    Raises:
        ReproductionError: something is missing, too much, or another file than the one that the picture was made from.
    """
    files = {field.name: takes_files(field.type) for field in signature.inputs}
    own = {"prompt": metadata.prompt, "seed": metadata.seed, "num_outputs": 1}
    inputs = {**metadata.inputs, **{name: value for name, value in own.items() if name in files}}
    inputs = {name: value for name, value in inputs.items() if value is not None and name not in _WITHOUT_EFFECT}
    if unknown := [name for name in inputs if name not in files]:
        print(f"Note: the predictor has no such input, left out: {', '.join(unknown)}.", file=sys.stderr)
    inputs = {name: value for name, value in inputs.items() if name in files}
    brought = _read(given, {name for name, value in inputs.items() if list(_gaps(value))})
    for name, value in inputs.items():
        if files[name] and any(text.startswith(_POINTERS) for text in _texts(value)):
            raise ReproductionError(
                f"{name}: what the file tells of it points somewhere else, which Darkroom never writes. Somebody has "
                "changed it, and it is not followed."
            )
        gaps, values = list(_gaps(value)), brought.get(name, [])
        if len(gaps) != len(values):
            raise ReproductionError(_missing(name, gaps, values))
        inputs[name] = _fill(name, value, iter(values), as_file=files[name])
    return inputs


def _read(given: Sequence[str], names: set[str]) -> dict[str, list[str]]:
    brought: dict[str, list[str]] = {}
    for assignment in given:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ReproductionError(f"-i {assignment}: there is no `=` in it; write -i name=@file.")
        if name not in names:
            needed = f"It needs {', '.join(sorted(names))}" if names else "It needs nothing more"
            raise ReproductionError(f"-i {name}: the picture's file tells the other inputs itself. {needed}.")
        brought.setdefault(name, []).append(text)
    return brought


def _gaps(value: Any) -> Iterator[Mapping[str, Any]]:
    """What has to be brought, in order."""
    match value:
        case {redaction.DIGEST: _} | {redaction.WITHHELD: _}:
            yield value
        case list():
            for item in value:
                yield from _gaps(item)
        case dict():
            for item in value.values():
                yield from _gaps(item)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)


def _missing(name: str, gaps: Sequence[Mapping[str, Any]], values: Sequence[str]) -> str:
    wanted = [
        f"the file of SHA-256 {gap[redaction.DIGEST]}"
        if redaction.DIGEST in gap
        else f"what was withheld of {gap[redaction.WITHHELD] or 'it'}"
        for gap in gaps
    ]
    example = f"-i {name}=@FILE" if any(redaction.DIGEST in gap for gap in gaps) else f"-i {name}=VALUE"
    count = f", {len(gaps)} times in this order" if len(gaps) > 1 else ""
    return (
        f"{name}: the picture was made with {', '.join(wanted)}, and its file does not hold that. "
        f"Give it by {example}{count}; {len(values)} given."
    )


def _fill(name: str, value: Any, values: Iterator[str], *, as_file: bool) -> Any:
    match value:
        case {redaction.DIGEST: digest}:
            return _file(name, str(digest), next(values), as_file=as_file)
        case {redaction.WITHHELD: _}:
            return next(values)
        case list():
            return [_fill(name, item, values, as_file=as_file) for item in value]
        case dict():
            return {key: _fill(name, item, values, as_file=as_file) for key, item in value.items()}
        case _:
            return value


def _file(name: str, digest: str, text: str, *, as_file: bool) -> str:
    path = Path(text.removeprefix("@"))
    if not text.startswith("@") or not path.is_file():
        raise ReproductionError(f"-i {name}={text}: there is no such file. Write -i {name}=@FILE with the path of one.")
    if (actual := file_digest(path)) != digest:
        raise ReproductionError(
            f"-i {name}={text}: this is another file than the one that the picture was made from. Its SHA-256 is "
            f"{actual}, not {digest}. Give the file as it was sent."
        )
    if as_file:
        return text
    return f"data:application/octet-stream;base64,{base64.b64encode(path.read_bytes()).decode()}"
