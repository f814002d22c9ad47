"""Inputs as they are kept and told: without secrets, and as the schema has them."""

from __future__ import annotations

from typing import Any

from server.schema.signature import Kind, Signature, ValueType


def redacted(input: dict[str, Any], signature: Signature) -> dict[str, Any]:
    """The inputs that hold no secret, with every integer whole; what was given stays as it is.

    The schema calls secrets `writeOnly`: no answer has them, not even masked. `3.0` is an integer to JSON Schema, and
    so is a number of more than 64 bits, which is read as a float.
    """
    types = {field.name: field.type for field in signature.inputs}
    return {name: _whole(value, types[name]) for name, value in input.items() if not _has_secret(value, types[name])}


def _has_secret(value: Any, type_: ValueType) -> bool:
    match type_.kind, value:
        case Kind.SECRET, str():
            return True
        case Kind.LIST, list():
            return any(_has_secret(item, type_.items[0]) for item in value)
        case Kind.UNION, _:
            # Text that may be a secret counts as one, whatever else it may be.
            return any(_has_secret(value, member) for member in type_.items)
    return False


def _whole(value: Any, type_: ValueType) -> Any:
    match type_.kind, value:
        case Kind.INTEGER, float():
            # Of a union with numbers it may be a fraction.
            return int(value) if value.is_integer() else value
        case Kind.LIST, list():
            return [_whole(item, type_.items[0]) for item in value]
        case Kind.UNION, _:
            for member in type_.items:
                value = _whole(value, member)
    return value
