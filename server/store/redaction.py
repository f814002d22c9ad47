"""Inputs as they are kept and told: without secrets, and as the schema has them."""

from __future__ import annotations

from typing import Any

from server.schema.signature import Kind, Signature, ValueType

HIDDEN = "**********"
"""What stands for a secret, as where a model prints one."""


def redacted(input: dict[str, Any], signature: Signature) -> dict[str, Any]:
    """The input with every secret hidden, and every integer whole; the one that was given stays as it is.

    `3.0` is an integer to JSON Schema, and so are numbers of more than 64 bits, which are read as floats.
    """
    types = {field.name: field.type for field in signature.inputs}
    return {name: _redacted(value, types[name]) if name in types else value for name, value in input.items()}


def _redacted(value: Any, type_: ValueType) -> Any:
    match type_.kind, value:
        case Kind.SECRET, str():
            return HIDDEN
        case Kind.INTEGER, float():
            return int(value)
        case Kind.LIST, list():
            return [_redacted(item, type_.items[0]) for item in value]
        case Kind.MAPPING, dict():
            return {name: _redacted(item, type_.items[0]) for name, item in value.items()}
        case Kind.MODEL, dict():
            types = {field.name: field.type for field in type_.fields}
            return {name: _redacted(item, types[name]) if name in types else item for name, item in value.items()}
        case Kind.UNION, _:
            # Text that may be a secret counts as one, whatever else it may be.
            for member in type_.items:
                value = _redacted(value, member)
    return value
