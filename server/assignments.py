"""The inputs of a one-off prediction, as the command line gives them: `name=value` each, or one JSON object."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from server.errors import InputFileError, InvalidRequest, Violation
from server.schema.signature import InputField, Kind, Signature, ValueType
from server.schema.validation import InputValidator
from server.service.client import http_client
from server.service.inputs import fetch_inputs
from server.worker.messages import LocalFile


def read_object(text: str) -> dict[str, Any]:
    """The inputs by name, from a JSON object, from the file of one (`@FILE`), or from standard input (`-` or `@-`).

    Raises:
        InputFileError: the file cannot be read.
        InvalidRequest: it is no JSON object.
    """
    if text in ("-", "@-"):
        text = sys.stdin.read()
    elif text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputFileError(f"--json {text} cannot be read: {error}. Give the path of a JSON file.") from error
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InvalidRequest([Violation(("--json",), f"it is no JSON: {error}")]) from error
    if not isinstance(values, dict):
        raise InvalidRequest([Violation(("--json",), 'it is no JSON object; write one such as {"name": "value"}')])
    return values


def parse_inputs(signature: Signature, given: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """The inputs by name.

    Args:
        signature: what they are for.
        given: each as `name=value`, or by name.

    Raises:
        InvalidRequest: the model has no such input, or it is not written as one.
    """
    return _known(signature, given) if isinstance(given, Mapping) else _parse(signature, given)


async def read_inputs(signature: Signature, given: dict[str, Any], scratch: Path, max_bytes: int) -> dict[str, Any]:
    """Check the inputs and fetch their files.

    Args:
        signature: what they are for.
        given: what `parse_inputs` returned. In place of a file `@PATH` is one on disk.
        scratch: a folder, in which another is made for what is fetched.
        max_bytes: the most that may be fetched for one file.

    Raises:
        InvalidRequest: they do not fit the model.
        InputFileError: a file among them cannot be had.
    """
    values = InputValidator(signature).validate(given).values
    for field in signature.inputs:
        if field.name in values and takes_files(field.type):
            values[field.name] = _open_files(field.name, values[field.name])
    folder = scratch / "inputs"
    folder.mkdir()
    async with http_client() as client:
        return await fetch_inputs(values, signature, folder, client, max_bytes)


def _known(signature: Signature, given: Mapping[str, Any]) -> dict[str, Any]:
    for name in given:
        _field(signature, name)
    return dict(given)


def _parse(signature: Signature, assignments: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise InvalidRequest(
                [Violation(("body", "input", assignment), "there is no `=` in it; write -i name=value")]
            )
        field = _field(signature, name)
        value = _parse_value(field, text)
        if field.type.kind is not Kind.LIST:
            if name in values:
                raise InvalidRequest([Violation(("body", "input", name), "it is given twice and takes one value")])
            values[name] = value
        else:
            values.setdefault(name, []).extend(value if isinstance(value, list) else [value])
    return values


def _field(signature: Signature, name: str) -> InputField:
    fields = {field.name: field for field in signature.inputs}
    if name not in fields:
        known = ", ".join(fields) or "no inputs at all"
        raise InvalidRequest([Violation(("body", "input", name), f"the model has no such input; it takes {known}")])
    return fields[name]


def _parse_value(field: InputField, text: str) -> Any:
    kinds = {field.type.kind, *(member.kind for member in field.type.items)}
    if kinds <= {Kind.STRING, Kind.PATH, Kind.FILE, Kind.SECRET}:
        return text
    try:
        return json.loads(text)
    except ValueError:
        # Text where JSON was expected: the validation says so in the words that HTTP clients get too.
        return text


def takes_files(type_: ValueType) -> bool:
    """Whether a file may be given where a value of the type is expected."""
    return type_.kind in (Kind.PATH, Kind.FILE) or any(takes_files(item) for item in type_.items)


def _open_files(name: str, value: Any) -> Any:
    match value:
        case list():
            return [_open_files(name, item) for item in value]
        case str() if value.startswith("@"):
            path = Path(value[1:]).absolute()
            if not path.is_file():
                raise InputFileError(f"-i {name}: there is no file {path}. Give the path of one after the @.")
            return LocalFile(str(path))
        case str() if os.path.isfile(value):  # noqa: PTH113 - for a `Path` a text may be too long
            raise InputFileError(f"-i {name}: {value} is a file, and would be sent as text. Write {name}=@{value}.")
        case _:
            return value
