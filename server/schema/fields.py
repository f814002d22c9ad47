"""The fields of a class that a predictor returns as an object."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import Any

from server.cog import BaseModel
from server.errors import UnsupportedType


def read_fields(model: type) -> list[tuple[str, Any, bool | None]] | None:
    """The fields of a TypedDict, a dataclass, a `BaseModel` of ours or one of pydantic's; `None` if it is none of them.

    Each is a name, an annotation, and whether it is required, or `None` where that is for the annotation to say.

    Raises:
        UnsupportedType: an annotation cannot be evaluated.
    """
    if is_typed_dict(model):
        return [(name, hint, _is_required_key(model, name, hint)) for name, hint in _hints(model).items()]
    if dataclasses.is_dataclass(model):
        hints = _hints(model)
        return [(field.name, hints[field.name], _needed(field)) for field in dataclasses.fields(model)]
    if issubclass(model, BaseModel):
        return [(name, hint, False if hasattr(model, name) else None) for name, hint in _hints(model).items()]
    # pydantic's, told by what it looks like, for it is not imported unless the predictor does so.
    if isinstance(fields := getattr(model, "model_fields", None), dict):
        hints = _hints(model)
        return [
            (name, hints.get(name, field.annotation), None if field.is_required() else False)
            for name, field in fields.items()
        ]
    return None


def is_typed_dict(annotation: Any) -> bool:
    """Whether it is a TypedDict."""
    # `typing.is_typeddict` does not know those of `typing_extensions`.
    return inspect.isclass(annotation) and issubclass(annotation, dict) and hasattr(annotation, "__required_keys__")


def _hints(model: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(model, include_extras=True)
    except Exception as error:
        raise UnsupportedType(
            f"the annotations of {model.__name__} cannot be evaluated ({type(error).__name__}: {error})",
            "Import or define their names at the top of the file, not under TYPE_CHECKING.",
        ) from error


def _is_required_key(model: type, name: str, hint: Any) -> bool:
    # `__required_keys__` overlooks the markers where annotations are strings.
    match typing.get_origin(hint):
        case typing.Required:
            return True
        case typing.NotRequired:
            return False
    required: frozenset[str] = model.__required_keys__  # type: ignore[attr-defined]
    return name in required


def _needed(field: dataclasses.Field[Any]) -> bool | None:
    has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return False if has_default else None
