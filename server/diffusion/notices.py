"""What the libraries under the engine write to the log: what a person can act on, and that once."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import diffusers.utils.logging
import transformers

_BESIDE_THE_POINT = (
    # Pictures are not read yet, and without torchvision they are read by Pillow.
    "requires torchvision",
    # Said of any long prompt just before it is cut to length; diffusers then names the words that are lost.
    "Token indices sequence length is longer than the specified maximum",
)


def install() -> None:
    """Take over the log of the libraries. Call it before a model is loaded; more than once does no harm."""
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for library in (diffusers.utils.logging, transformers.logging):
        library.disable_default_handler()
        library.add_handler(_HANDLER)


@contextmanager
def once(told: set[str]) -> Iterator[None]:
    """Keep from the log what is in `told` already, and add to that what is written meanwhile."""
    _HANDLER.told = told
    try:
        yield
    finally:
        _HANDLER.told = None


class _Handler(logging.Handler):
    """Writes to what standard error is at that time; the libraries' own keep to what it was when they were imported."""

    def __init__(self) -> None:
        super().__init__()
        self.told: set[str] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        message = self.format(record)
        if any(phrase in message for phrase in _BESIDE_THE_POINT):
            return
        if self.told is not None:
            if message in self.told:
                return
            self.told.add(message)
        print(message, file=sys.stderr, flush=True)


_HANDLER = _Handler()
