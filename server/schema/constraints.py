"""Whether what `Input` says about a parameter can be enforced."""

from __future__ import annotations

import math
import re
from typing import Any

from server.errors import UnsupportedType
from server.schema.openapi import openapi_document
from server.schema.signature import InputField, Kind, Mode, OutputType, Signature
from server.schema.validation import compile_pattern


def check_constraints(field: InputField) -> None:
    """Let a field pass whose constraints suit its type and each other.

    Raises:
        UnsupportedType: they do not.
    """
    # As in Cog, a list may carry the constraints of its items.
    kind = field.type.items[0].kind if field.type.kind is Kind.LIST else field.type.kind
    if kind is Kind.UNION and _given(field, "ge", "le", "min_length", "max_length", "regex", "choices"):
        raise UnsupportedType(
            "constraints and choices do not work on a union", "Check the value in the function, or use one type."
        )
    if field.description is not None and not isinstance(field.description, str):
        raise UnsupportedType(f"description={field.description!r} is no text", "Write description= and a string.")
    _check_bounds(field, kind)
    _check_lengths(field, kind)
    _check_regex(field, kind)
    _check_choices(field, kind)
    _check_multiple(field, kind)
    if field.accept is not None and kind not in (Kind.PATH, Kind.FILE):
        raise UnsupportedType(
            f"accept={field.accept!r} is only for files, and its type is {kind}", "Remove it, or make the input a Path."
        )


def check_name(field: InputField, output: OutputType) -> None:
    """Let a field pass unless its choices, which are published under its name, have one that every document has.

    Args:
        field: an input.
        output: what the function of the input returns.

    Raises:
        UnsupportedType: they have.
    """
    bare = Signature((), output)
    if field.choices is not None and field.name in openapi_document(dict.fromkeys(Mode, bare))["components"]["schemas"]:
        raise UnsupportedType(
            "a parameter with choices cannot have this name: the OpenAPI document uses it",
            "Choose another name, such as one in small letters.",
        )


def _check_bounds(field: InputField, kind: Kind) -> None:
    for name in _given(field, "ge", "le"):
        bound = getattr(field, name)
        if kind not in (Kind.INTEGER, Kind.NUMBER):
            raise UnsupportedType(f"{name}={bound!r} is only for numbers, and its type is {kind}", f"Remove {name}.")
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
            raise UnsupportedType(f"{name}={bound!r} is no finite number", f"Write {name}= and a number.")
    if field.ge is not None and field.le is not None and field.ge > field.le:
        raise UnsupportedType(f"no number is at least {field.ge} and at most {field.le}", "Swap ge and le.")


def _check_lengths(field: InputField, kind: Kind) -> None:
    for name in _given(field, "min_length", "max_length"):
        length = getattr(field, name)
        if kind not in (Kind.STRING, Kind.SECRET):
            raise UnsupportedType(f"{name}={length!r} is only for strings, and its type is {kind}", f"Remove {name}.")
        if isinstance(length, bool) or not isinstance(length, int) or length < 0:
            raise UnsupportedType(f"{name}={length!r} is no length", f"Write {name}= and a whole number from 0 up.")
    if field.min_length is not None and field.max_length is not None and field.min_length > field.max_length:
        raise UnsupportedType(
            f"no string has at least {field.min_length} and at most {field.max_length} characters",
            "Swap min_length and max_length.",
        )


def _check_regex(field: InputField, kind: Kind) -> None:
    if field.regex is None:
        return
    if kind not in (Kind.STRING, Kind.SECRET):
        raise UnsupportedType(f"regex={field.regex!r} is only for strings, and its type is {kind}", "Remove regex.")
    try:
        re.compile(field.regex)  # for a message that tells the place in what the author wrote
        compile_pattern(field.regex)
    except (re.error, TypeError) as error:
        raise UnsupportedType(f"regex={field.regex!r} is no regular expression: {error}", "Correct it.") from None


def _check_multiple(field: InputField, kind: Kind) -> None:
    multiple = field.multiple_of
    if multiple is None:
        return
    if field.type.kind is not Kind.INTEGER:
        raise UnsupportedType(
            f"multiple_of={multiple!r} is only for whole numbers, and its type is {kind}", "Remove multiple_of."
        )
    if isinstance(multiple, bool) or not isinstance(multiple, int) or multiple < 1:
        raise UnsupportedType(
            f"multiple_of={multiple!r} is no whole number from 1 up", "Write one, such as multiple_of=8."
        )


def _check_choices(field: InputField, kind: Kind) -> None:
    if field.choices is None:
        return
    expected = _CHOICE_TYPES.get(kind)
    if expected is None:
        raise UnsupportedType(
            f"choices are only for strings and numbers, and its type is {kind}", "Remove choices, or use str."
        )
    if not field.choices:
        raise UnsupportedType("choices=[] allows no value at all", "List the values allowed, or remove choices.")
    for choice in field.choices:
        if not _is_of(choice, expected):
            raise UnsupportedType(
                f"the choice {choice!r} is a {type(choice).__name__}, and the type is {kind}",
                "Make every choice of the input's own type.",
            )


_CHOICE_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.STRING: (str,),
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
}


def _is_of(choice: Any, types: tuple[type, ...]) -> bool:
    return isinstance(choice, types) and not isinstance(choice, bool) and choice == choice  # NaN is not itself


def _given(field: InputField, *names: str) -> list[str]:
    return [name for name in names if getattr(field, name) is not None]
