"""What the libraries under the engine write to the log: what a person can act on, and that once."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import diffusers.utils.logging
import transformers

_BESIDE_THE_POINT = (
    # Pictures are not read yet, and without torchvision they are read by Pillow.
    "requires torchvision",
    # Said of any long prompt just before it is cut to length; diffusers then names the words that are lost.
    "Token indices sequence length is longer than the specified maximum",
    # Said of every autoencoder of a single file, with an empty list of modules.
    "that should be kept in float32: []",
)


def install() -> None:
    """Take over the log of the libraries. Call it before a model is loaded; more than once does no harm."""
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for library in (diffusers.utils.logging, transformers.logging):
        library.disable_default_handler()
        library.add_handler(_HANDLER)


@contextmanager
def once(told: set[str]) -> Iterator[None]:
    """Keep from the log what is in `told` already, and add to that what is written meanwhile by this context's code."""
    token = _told.set(told)
    try:
        yield
    finally:
        _told.reset(token)


@contextmanager
def heard() -> Iterator[list[str]]:
    """Collect what this context's code writes meanwhile, whether or not it is kept from the log."""
    messages: list[str] = []
    token = _listener.set(messages)
    try:
        yield messages
    finally:
        _listener.reset(token)


def tell(message: str) -> None:
    """Write a notice, unless it is kept from the log."""
    if any(phrase in message for phrase in _BESIDE_THE_POINT):
        return
    if (listener := _listener.get()) is not None:
        listener.append(message)
    if (told := _told.get()) is not None:
        if message in told:
            return
        told.add(message)
    print(message, file=sys.stderr, flush=True)


class _Handler(logging.Handler):
    """Writes to what standard error is at that time; the libraries' own keep to what it was when they were imported."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(self.format(record))


_told: ContextVar[set[str] | None] = ContextVar("told", default=None)
_listener: ContextVar[list[str] | None] = ContextVar("listener", default=None)
_HANDLER = _Handler()
