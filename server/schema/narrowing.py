"""What the loaded model takes of the inputs in the source, as the predictor says after `setup()`.

A predictor may have a method `narrow_inputs`, which real Cog never calls. It takes no arguments and returns a mapping
from names of inputs to what becomes of them: a text, which says why the model cannot take the input, or `None`, removes
it; a mapping of `NARROWABLE` to values changes its rules. An input that is not named stays as it is.

Every request that fits what is left fits the source, too: inputs are narrowed, never widened.
"""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from server.errors import SignatureError, UnsupportedType
from server.schema.constraints import check_constraints, check_name
from server.schema.inspect import location_of
from server.schema.literals import check_default, json_choices, json_default
from server.schema.signature import InputField, Kind, OutputType, RemovedInput, Signature

METHOD = "narrow_inputs"

NARROWABLE = ("default", "choices", "ge", "le", "multiple_of", "min_length", "max_length", "description")
"""What may be said of an input, as in `Input(...)`; and `multiple_of`, what the model rounds a whole number to."""

_LOWER_BOUNDS = ("ge", "min_length")
_UPPER_BOUNDS = ("le", "max_length")


def narrow(predictor: object, signature: Signature) -> Signature:
    """The signature that holds for a predictor that has been set up.

    Args:
        predictor: an object, or a function, which has nothing to narrow.
        signature: what `inspect_predictor` says of it.

    Raises:
        SignatureError: what its `narrow_inputs` returns cannot be used. What that raises itself is passed on.
    """
    method = getattr(predictor, METHOD, None)
    if method is None:
        return signature
    if not callable(method):
        raise SignatureError(
            location_of(type(predictor)),
            METHOD,
            f"it is {reprlib.repr(method)}, and no method",
            f"Write def {METHOD}(self), or give it another name.",
        )
    changes = method()
    location = location_of(method)
    if not isinstance(changes, Mapping):
        if inspect.iscoroutine(changes):
            changes.close()  # or Python complains, too
        raise SignatureError(
            location,
            METHOD,
            f"it returns {reprlib.repr(changes)}, and no mapping",
            f'Write def {METHOD}(self) without async, and return a dict such as {{"steps": {{"default": 4}}}}.',
        )
    known = [field.name for field in signature.inputs]
    for name in changes:
        if name not in known:
            raise SignatureError(
                location,
                str(name),
                "the signature has no such input, and only what it has can be narrowed",
                f"Name one of these: {', '.join(known) or 'none'}.",
            )
    inputs: list[InputField] = []
    removed: list[RemovedInput] = []
    for field in signature.inputs:
        try:
            change = changes.get(field.name, {})
            if change is None or isinstance(change, str):
                removed.append(_removed(field, change))
            else:
                inputs.append(_narrowed(field, change, signature.output))
        except UnsupportedType as unsupported:
            raise SignatureError(location, field.name, unsupported.rule, unsupported.remedy) from unsupported.__cause__
    return replace(signature, inputs=tuple(inputs), removed=tuple(removed))


def _removed(field: InputField, reason: str | None) -> RemovedInput:
    if field.required:
        raise UnsupportedType(
            "it is required and cannot be removed: predict would have no value for it",
            "Keep it, or give it a default in the signature.",
        )
    return RemovedInput(field, reason.strip().rstrip(".") or None if reason else None)


def _narrowed(field: InputField, changes: Any, output: OutputType) -> InputField:
    if not isinstance(changes, Mapping):
        raise UnsupportedType(
            f"{reprlib.repr(changes)} does not say what becomes of it",
            'Write a dict such as {"default": 4} to narrow it; a text that says why, or None, to remove it.',
        )
    if not changes:
        return field
    narrowed = replace(field, **{key: value for name in changes for key, value in _read(field, name, changes[name])})
    check_constraints(narrowed)
    _check_bounds(field, narrowed)
    _check_choices(field, narrowed)
    check_name(narrowed, output)
    check_default(narrowed)
    _check_multiple(narrowed)
    return narrowed


def _read(field: InputField, name: Any, value: Any) -> list[tuple[str, Any]]:
    """The attributes of `InputField` that an item of the mapping sets."""
    if name not in NARROWABLE:
        raise UnsupportedType(f"{name!r} cannot be narrowed", f"Use {', '.join(NARROWABLE)}.")
    if name == "default":
        return [("has_default", True), ("default", _read_default(field, value))]
    if value is None:
        raise UnsupportedType(f"{name}=None says nothing", f"Leave {name} out, to keep what the signature has.")
    return [(name, json_choices(value) if name == "choices" else value)]


def _read_default(field: InputField, value: Any) -> Any:
    if field.required:
        raise UnsupportedType(
            f"it is required, and with the default {reprlib.repr(value)} it would not be",
            "Remove the default here, or give it one in the signature.",
        )
    if field.type.kind is Kind.SECRET:
        raise UnsupportedType("a secret cannot have a default: it would be published", "Remove the default.")
    if value is None and not field.type.nullable:
        raise UnsupportedType(
            "the default None does not fit its type", "Write a value, or leave default out, to keep the signature's."
        )
    return json_default(value, field.type)


def _check_bounds(field: InputField, narrowed: InputField) -> None:
    for name in (*_LOWER_BOUNDS, *_UPPER_BOUNDS):
        bound, limit = getattr(narrowed, name), getattr(field, name)
        if limit is None:
            continue
        is_lower = name in _LOWER_BOUNDS
        if bound < limit if is_lower else bound > limit:
            raise UnsupportedType(
                f"{name}={bound} is {'less' if is_lower else 'more'} than the {limit} of the signature, which can only "
                "be narrowed",
                f"Write {limit} or {'more' if is_lower else 'less'}, or widen the signature.",
            )


def _check_choices(field: InputField, narrowed: InputField) -> None:
    if field.choices is None or narrowed.choices is None:
        return
    for choice in narrowed.choices:
        if choice not in field.choices:
            raise UnsupportedType(
                f"the signature does not have the choice {choice!r}, and can only be narrowed",
                f"Choose among these, or add it there: {', '.join(map(repr, field.choices))}.",
            )


def _check_multiple(field: InputField) -> None:
    if field.multiple_of is not None and field.default is not None and field.default % field.multiple_of:
        raise UnsupportedType(
            f"the default {field.default} is not a multiple of {field.multiple_of}",
            "Change the default, or multiple_of.",
        )
