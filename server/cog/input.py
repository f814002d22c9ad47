"""`Input`: the default, the limits and the description of one parameter of `predict`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

_NOT_GIVEN: Any = object()


@dataclass(frozen=True)
class FieldInfo:
    """What `Input` returns. Its arguments are those of `Input`.

    Attributes:
        has_default: whether `Input` was given a default. One of `None` is published where the type allows it.
    """

    default: Any = None
    description: str | None = None
    ge: int | float | None = None
    le: int | float | None = None
    min_length: int | None = None
    max_length: int | None = None
    regex: str | None = None
    choices: Sequence[str | float] | None = None
    deprecated: bool | None = None
    accept: str | None = None
    has_default: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given = self.default is not _NOT_GIVEN
        object.__setattr__(self, "has_default", given)
        if not given:
            object.__setattr__(self, "default", None)


def Input(  # noqa: N802 - the name is Cog's
    default: Any = _NOT_GIVEN,
    *,
    default_factory: Callable[..., Any] | None = None,
    description: str | None = None,
    ge: int | float | None = None,
    le: int | float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    regex: str | None = None,
    choices: Sequence[str | float] | None = None,
    deprecated: bool | None = None,
    accept: str | None = None,
) -> Any:
    """Describe a parameter of `predict`; write it as the parameter's default value.

    Args:
        default: the value where a request leaves the input out, a literal. Without one the input is required, unless
            its type allows `None`.
        default_factory: refused; a default must be known without running code.
        description: what people read next to the field.
        ge, le: the least and the greatest number.
        min_length, max_length: the least and the greatest length of a string, in characters.
        regex: a pattern that a string must contain a match of.
        choices: the values allowed.
        deprecated: whether clients should stop sending it.
        accept: media types or extensions of a file, as in HTML's `accept`: `"image/*"`, `".safetensors,.bin"`.

    Raises:
        TypeError: `default_factory` is given.
    """
    if default_factory is not None:
        raise TypeError(
            "default_factory is not supported in Input(): the default is published before any code runs. "
            "Write a literal, Input(default=...), or None and make the value in predict()."
        )
    return FieldInfo(
        default=default,
        description=description,
        ge=ge,
        le=le,
        min_length=min_length,
        max_length=max_length,
        regex=regex,
        choices=choices,
        deprecated=deprecated,
        accept=accept,
    )
