"""`BaseModel`: an output of several named values."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from typing import Any, dataclass_transform


@dataclass_transform()
class BaseModel:
    """The base class of structured outputs: each subclass becomes a dataclass.

        class Output(BaseModel):
            text: str
            score: float

    Args:
        auto_dataclass: false where the subclass (and those below it) applies `@dataclass` itself.
        init: whether the dataclass gets an `__init__`.
        kwargs: further arguments of `@dataclass`.

    Raises:
        TypeError: the first base class is no `BaseModel`, or another one is a dataclass.
        ValueError: `auto_dataclass=False` below a class that is a dataclass already, which would lose its fields.
    """

    def __init_subclass__(cls, *, auto_dataclass: bool = True, init: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__()
        first, *others = cls.__bases__
        if not issubclass(first, BaseModel):
            raise TypeError(f'Primary base class of "{cls.__name__}" must inherit from BaseModel, not {first.__name__}')
        if not auto_dataclass and first.__dict__.get("_auto_dataclass", False):
            raise ValueError(
                f'"{cls.__name__}" has auto_dataclass=False, but its base class "{first.__name__}" has '
                "auto_dataclass=True; give both the same"
            )
        for base in others:
            if is_dataclass(base):
                raise TypeError(
                    f'Cannot mixin dataclass "{base.__name__}" while inheriting from `BaseModel`; '
                    "make it a BaseModel, or a field"
                )
        cls._auto_dataclass = auto_dataclass  # type: ignore[attr-defined]
        if auto_dataclass:
            dataclass(init=init, **kwargs)(cls)
