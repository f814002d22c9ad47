"""What a request is told of what was not done quite as it asked."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum

from server.diffusion.errors import InputError


class WarningCode(StrEnum):
    """What kind of difference there is between what was asked for and what was done."""

    ROUNDED = "rounded"
    """A number became the nearest one that the model can use."""
    CLAMPED = "clamped"
    """A number became the least or the greatest one that the model can use."""
    TRUNCATED = "truncated"
    """The model did not see all of an input."""
    CONVERTED = "converted"
    """A file was turned into another form, and may have lost something by that."""
    IGNORED = "ignored"
    """An input, or a part of it, had no effect."""
    WITHHELD = "withheld"
    """A picture was made and is not shown."""
    DEGRADED = "degraded"
    """Memory was short; it took longer, or was made smaller."""


@dataclass(frozen=True)
class RequestWarning:
    """One such difference.

    Attributes:
        code: its kind.
        input: the name of the input; `None` where it is not about one.
        message: what was done, why, and what to ask for instead; a sentence or two.
    """

    code: WarningCode
    input: str | None
    message: str


class Warnings:
    """The warnings of one request, each of them once; they also go to standard error, which is its log.

    Args:
        strict: raise them, instead.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self._given: dict[RequestWarning, None] = {}
        self._noted: set[str] = set()

    def add(self, code: WarningCode, input: str | None, message: str) -> None:
        """Tell of a difference.

        Raises:
            InputError: the request is strict, and this is about an input.
        """
        warning = RequestWarning(code, input, message)
        if warning in self._given:
            return
        if self.strict and input is not None:
            raise InputError(input, message)
        self._given[warning] = None
        where = "" if input is None else f"{input}: "
        print(f"Warning: {where}{message}", file=sys.stderr, flush=True)

    def note(self, message: str) -> None:
        """Write to the request's log what a library has to say, which is no warning of ours; once."""
        if message not in self._noted:
            self._noted.add(message)
            print(message, file=sys.stderr, flush=True)

    def to_list(self) -> list[dict[str, str | None]]:
        """The warnings as JSON, in the order in which they came: `{"code", "input", "message"}`."""
        return [{"code": str(one.code), "input": one.input, "message": one.message} for one in self._given]
