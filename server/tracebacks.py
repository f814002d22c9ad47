"""Tracebacks in two parts: where an exception came from, and what it says, which may quote a prompt."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import TracebackType


def sections(error: BaseException, frames: TracebackType | None) -> list[tuple[BaseException, str]]:
    """The exceptions that led to this one, itself, and those that it groups, in this order.

    Args:
        error: what was raised.
        frames: its traceback, or the end of that.

    Returns:
        Each exception, and where it came from as Python writes it.
    """
    return list(_sections(error, frames, set()))


def what_it_says(error: BaseException) -> str:
    """The class of an exception and its text, with a newline at the end."""
    return "".join(traceback.format_exception_only(error))


def what_it_is(error: BaseException) -> str:
    """The class of an exception and, where it is the operating system's, its text; with a newline at the end."""
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__qualname__}: [Errno {error.errno}] {error.strerror}\n"
    return f"{type(error).__qualname__} (what it says may quote a prompt: see --log-prompts)\n"


def _sections(
    error: BaseException, frames: TracebackType | None, seen: set[int]
) -> Iterator[tuple[BaseException, str]]:
    seen.add(id(error))
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    led = ""
    if earlier is not None and id(earlier) not in seen:
        yield from _sections(earlier, earlier.__traceback__, seen)
        led = "\nThat led to:\n\n"
    yield error, f"{led}Traceback (most recent call last):\n{''.join(traceback.format_tb(frames))}"
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            if id(member) not in seen:
                yield from _sections(member, member.__traceback__, seen)
