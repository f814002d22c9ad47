"""What went wrong in the model's code, as text."""

from __future__ import annotations

import traceback
from pathlib import Path

from server.errors import DarkroomError

_OURS = str(Path(__file__).parent)


def summarize(error: BaseException) -> str:
    """`ValueError: bad thing`; of our own errors, which say everything themselves, the message alone."""
    try:
        message = str(error)
    except Exception:  # models bring their own exceptions, and those may be broken
        message = "<exception str() failed>"
    text = message if isinstance(error, DarkroomError) else f"{type(error).__qualname__}: {message}"
    # What Python can print, half a surrogate pair included, is not always what can be sent.
    return text.encode(errors="backslashreplace").decode()


def trace(error: BaseException) -> str:
    """The traceback, from where the model's own code begins; of our own errors the message."""
    if isinstance(error, DarkroomError):
        return f"{summarize(error)}\n"
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen "))
