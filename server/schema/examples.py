"""Examples of requests in the OpenAPI document: each fits the schema, and runs on a host without internet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil, floor
from typing import Any

from server.schema.signature import InputField, Kind, ValueType

_PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQMAAACQp+OdAAAAA1BMVEXIKB/ok1l9AAAAD0lEQVR42mNgGAWjgHwA"
    "AAJAAAHgTR1EAAAAAElFTkSuQmCC"
)
"""A PNG of 64x64 red pixels."""

_TEXT_FILE = "data:text/plain;base64,YSByZWQgYXBwbGU="
_TEXTS = ("a red apple", "apple", "a", "A", "1", "0.5", "1:1", "a1", "A1", "#c8281f", "2026-01-01", "12:00", "en-US")
_ADDRESSES = ("https://example.com/", "someone@example.com", "127.0.0.1", "owner/name", "file.txt")
_OF_PICTURES = re.compile(r"(^|_)(image|images|mask|picture|photo)(_|$)")


def with_examples(paths: dict[str, Any], inputs: Sequence[InputField]) -> dict[str, Any]:
    """The same `paths` with an example of each body that asks a model with these inputs for something.

    There is none where an input that is required has a pattern for which no text is known.
    """
    try:
        example = {"input": example_input(inputs)}
    except LookupError:
        return paths
    return {path: {verb: _with_example(each, example) for verb, each in item.items()} for path, item in paths.items()}


def example_input(inputs: Sequence[InputField]) -> dict[str, Any]:
    """What is required; where nothing is, the plain inputs that have a default, so that there is something to change.

    Raises:
        LookupError: an input that is required has a pattern for which no text is known.
    """
    required = {field.name: _value(field) for field in inputs if field.required}
    if required:
        return required
    return {field.name: field.default for field in inputs if field.default is not None and _is_plain(field.default)}


def _with_example(operation: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    if "requestBody" not in operation:
        return operation
    body = operation["requestBody"]
    content = {media: {**described, "example": example} for media, described in body["content"].items()}
    return {**operation, "requestBody": {**body, "content": content}}


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _value(field: InputField) -> Any:
    if field.choices:
        # One of them, as in Cog's schema, where the input is a list, too.
        return field.choices[0]
    match field.type.kind:
        case Kind.STRING | Kind.SECRET:
            return _text(field)
        case Kind.INTEGER | Kind.NUMBER:
            return _number(field)
        case Kind.PATH | Kind.FILE:
            return _file(field.name, field.accept)
    return _of_type(field.type, field.name)


def _text(field: InputField) -> str:
    length = field.min_length or 0
    for text in (*_TEXTS, *_ADDRESSES, "a" * length, "1" * length, "A" * length):
        if _fits(field, text):
            return text
    raise LookupError(f"no text is known that fits {field.regex!r}")


def _fits(field: InputField, text: str) -> bool:
    if not (field.min_length or 0) <= len(text) <= (len(text) if field.max_length is None else field.max_length):
        return False
    return field.regex is None or re.search(field.regex, text) is not None


def _number(field: InputField) -> float:
    least = field.ge if field.ge is not None else min(1, field.le if field.le is not None else 1)
    if field.type.kind is Kind.NUMBER:
        return least
    step = field.multiple_of or 1
    nearest = ceil(least / step) * step
    return nearest if field.le is None or nearest <= field.le else floor(field.le)


def _file(name: str, accept: str | None) -> str:
    return _PICTURE if "image" in (accept or "") or _OF_PICTURES.search(name) else _TEXT_FILE


def _of_type(type_: ValueType, name: str) -> Any:
    match type_.kind:
        case Kind.LIST:
            return [_of_type(type_.items[0], name)]
        case Kind.MAPPING:
            return {"name": _of_type(type_.items[0], name)}
        case Kind.UNION:
            return _of_type(type_.items[0], name)
        case Kind.MODEL:
            return {field.name: _of_type(field.type, field.name) for field in type_.fields if field.required}
        case Kind.PATH | Kind.FILE:
            return _file(name, None)
    return _SIMPLE[type_.kind]


_SIMPLE: dict[Kind, Any] = {
    Kind.STRING: _TEXTS[0],
    Kind.SECRET: _TEXTS[0],
    Kind.INTEGER: 1,
    Kind.NUMBER: 0.5,
    Kind.BOOLEAN: True,
    Kind.ANY: {"name": "value"},
}
