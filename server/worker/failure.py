"""What went wrong in the model's code, as text."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path

from server.errors import DarkroomError

_OURS = str(Path(__file__).parent)
_ASYNCIO = str(Path(asyncio.__file__).parent)


def summarize(error: BaseException) -> str:
    """`ValueError: bad thing`; of our own errors, which say everything themselves, the message alone."""
    try:
        message = str(error)
    except Exception:  # models bring their own exceptions, and those may be broken
        message = "<exception str() failed>"
    text = message if isinstance(error, DarkroomError) else f"{type(error).__qualname__}: {message}"
    return printable(text)


def printable(text: str) -> str:
    """Text that can be sent: what Python can hold, half a surrogate pair included, is not always that."""
    return text.encode(errors="surrogatepass").decode(errors="replace")


def trace(error: BaseException) -> str:
    """The traceback, from where the model's own code begins; of our own errors the message."""
    if isinstance(error, DarkroomError):
        return f"{summarize(error)}\n"
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return printable("".join(traceback.format_exception(type(error), error, frames)))


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, _ASYNCIO, "<frozen "))
