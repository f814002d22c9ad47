"""What went wrong in the model's code, as text."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

from server.errors import DarkroomError
from server.tracebacks import sections, what_it_says
from server.worker.messages import InputFault

_LONGEST = 8192
"""What is told of what an exception says, in characters."""

_OURS = str(Path(__file__).parent)
_ASYNCIO = str(Path(asyncio.__file__).parent)


def summarize(error: BaseException) -> str:
    """`ValueError: bad thing`; of our own errors, which say everything themselves, the message alone."""
    message = _message(error)
    return message if isinstance(error, DarkroomError) else printable(f"{type(error).__qualname__}: {message}")


def input_fault(error: BaseException, names: Collection[str]) -> InputFault | None:
    """The input that an exception says was at fault: its attribute `input` is the name of one.

    Args:
        error: what the model raised.
        names: those of its inputs.
    """
    try:
        name = getattr(error, "input", None)
    except Exception:  # models bring their own exceptions, and those may be broken
        return None
    if not isinstance(name, str) or name not in names:
        return None
    return InputFault(str(name), _message(error).removeprefix(f"{name}: ") or summarize(error))


def printable(text: str) -> str:
    """Text that can be sent: what Python can hold, half a surrogate pair included, is not always that."""
    return text.encode(errors="surrogatepass").decode(errors="replace")


def trace(error: BaseException) -> tuple[tuple[str, str], ...]:
    """The traceback, from where the model's own code begins, in pairs: where the exception and each that led to it came
    from, and what it says. Of our own errors the message alone."""
    if isinstance(error, DarkroomError):
        return (("", f"{summarize(error)}\n"),)
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return tuple(
        (printable(place), f"{printable(what_it_says(one)).strip()[:_LONGEST]}\n")
        for one, place in sections(error, frames)
    )


def trace_text(error: BaseException) -> str:
    """The same as one text."""
    return "".join(place + what for place, what in trace(error))


def _message(error: BaseException) -> str:
    try:
        return printable(str(error))
    except Exception:  # as above
        return "<exception str() failed>"


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, _ASYNCIO, "<frozen "))
