"""`Coder`: how a model turns a type of its own into JSON and back."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any


class Coder:
    """The base class of converters.

    The runtime of Cog 0.23 consults none of them, and neither does Darkroom: models that define one still load. Use
    `Annotated[T, Opaque]` for types that JSON does not have.
    """

    _coders: set[type[Coder]] = set()  # noqa: RUF012 - one registry for all subclasses

    @staticmethod
    def register(coder: type[Coder]) -> None:
        """Make a converter known to `lookup`."""
        Coder._coders.add(coder)

    @staticmethod
    def lookup(tpe: Any) -> Coder | None:
        """A registered converter that handles `tpe`, or `None`."""
        return next((found for coder in Coder._coders if (found := coder.factory(tpe)) is not None), None)

    @staticmethod
    @abstractmethod
    def factory(tpe: type[Any]) -> Coder | None:
        """A converter for `tpe`, or `None` if this class does not handle it."""

    @abstractmethod
    def encode(self, x: Any) -> dict[str, Any]:
        """A value of the model's type as a JSON object."""

    @abstractmethod
    def decode(self, x: dict[str, Any]) -> Any:
        """A JSON object as a value of the model's type."""
