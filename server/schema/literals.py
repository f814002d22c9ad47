"""The defaults and choices that an author writes, as JSON."""

from __future__ import annotations

import math
import reprlib
from enum import Enum
from typing import Any

from server.cog import Secret
from server.errors import InvalidRequest, UnsupportedType
from server.schema.signature import InputField, Kind, OutputType, Signature, ValueType
from server.schema.validation import InputValidator


def json_default(value: Any, type_: ValueType) -> Any:
    """A Python default as JSON.

    Args:
        value: what was written; whether it suits the input, `check_default` says.
        type_: the type of the input.

    Raises:
        UnsupportedType: JSON cannot hold it.
    """
    value = _plain(value)
    match type_.kind, value:
        case Kind.SECRET, Secret():
            return None
        case Kind.BOOLEAN, 0 | 1:
            return bool(value)
        case Kind.INTEGER | Kind.NUMBER, bool():
            return int(value)
        case Kind.LIST, list() | tuple() | set() | frozenset():
            return [json_default(item, type_.items[0]) for item in value]
    return _json(value)


def json_choices(choices: Any) -> tuple[Any, ...]:
    """The choices that were written; whether they suit the input, `check_constraints` says.

    Raises:
        UnsupportedType: they are no list.
    """
    if isinstance(choices, str | bytes) or not hasattr(choices, "__iter__"):
        raise UnsupportedType(f"choices={choices!r} is no list", "Write choices=[...] with the values allowed.")
    return tuple(_plain(choice) for choice in choices)


def check_default(field: InputField) -> None:
    """Let a field pass whose default keeps its own rules.

    Raises:
        UnsupportedType: it does not.
    """
    if not field.has_default or field.default is None:
        return
    item = field.type.items[0] if field.type.kind is Kind.LIST else field.type
    if item.kind in (Kind.PATH, Kind.FILE) and field.default != []:
        raise UnsupportedType(
            f"a file cannot have a default, such as {field.default!r}: it would not be fetched",
            "Write Path | None = Input(default=None), and open your file where it is None.",
        )
    # Cog publishes the choices of a list as the schema of the whole list; each item is what is meant.
    is_list_of_choices = field.choices is not None and field.type.kind is Kind.LIST
    values = field.default if is_list_of_choices and isinstance(field.default, list) else [field.default]
    validator = InputValidator(Signature((field,), OutputType(ValueType(Kind.ANY))))
    for value in values:
        try:
            validator.validate({field.name: value})
        except InvalidRequest as invalid:
            raise UnsupportedType(
                f"the default {field.default!r} breaks its own rule: {invalid.violations[0].msg}",
                "Change the default, or the rule.",
            ) from None


def _json(value: Any) -> Any:
    match _plain(value):
        case None | bool() | int() | str() as plain:
            return plain
        case float() as plain if math.isfinite(plain):
            return plain
        case list() | tuple() as items:
            return [_json(item) for item in items]
        case dict() as mapping if all(isinstance(key, str) for key in mapping):
            return {key: _json(item) for key, item in mapping.items()}
    raise UnsupportedType(
        f"the default {reprlib.repr(value)} is not JSON, so no client could see it",
        "Use a literal, or None and make the value in the function.",
    )


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
