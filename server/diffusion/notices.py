"""What the libraries under the engine write to the log: what a person can act on, and that once."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import diffusers.utils.logging
import transformers

from server.diffusion.warnings import WarningCode, Warnings

_BESIDE_THE_POINT = (
    # Pictures are not read yet, and without torchvision they are read by Pillow.
    "requires torchvision",
    # Said of any long prompt; `server.diffusion.prompts` tells of the words that are lost, whatever the pipeline.
    "Token indices sequence length is longer than the specified maximum",
    "part of your input was truncated because",
    # Said of every autoencoder of a single file, with an empty list of modules.
    "that should be kept in float32: []",
)


@dataclass(frozen=True)
class Notice:
    """Something that was said.

    Attributes:
        message: a line or more.
        code: of what kind it is, where it is a warning of the request; `None` for anything else.
        input: the input that the warning is about.
    """

    message: str
    code: WarningCode | None = None
    input: str | None = None


@contextmanager
def told_to(warnings: Warnings) -> Iterator[None]:
    """Let this context's code speak to a request, which is told everything once."""
    token = _warnings.set(warnings)
    try:
        yield
    finally:
        _warnings.reset(token)


@contextmanager
def heard(*, quietly: bool = False) -> Iterator[list[Notice]]:
    """Collect what this context's code says meanwhile, whether or not the request has been told before.

    Args:
        quietly: tell nobody else.
    """
    notices: list[Notice] = []
    quiet = _quiet.set(quietly)
    token = _listener.set(notices)
    try:
        yield notices
    finally:
        _listener.reset(token)
        _quiet.reset(quiet)


def tell(notice: Notice) -> None:
    """Say something to the request whose code this is, else to standard error.

    Raises:
        InputError: it is a warning, and the request is strict.
    """
    if any(phrase in notice.message for phrase in _BESIDE_THE_POINT):
        return
    if (listener := _listener.get()) is not None:
        listener.append(notice)
    if _quiet.get():
        return
    warnings = _warnings.get()
    if warnings is None:
        print(notice.message, file=sys.stderr, flush=True)
    elif notice.code:
        warnings.add(notice.code, notice.input, notice.message)
    else:
        warnings.note(notice.message)


class _Handler(logging.Handler):
    """Writes to what standard error is at that time; the libraries' own keep to what it was when they were imported."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(Notice(self.format(record)))


_warnings: ContextVar[Warnings | None] = ContextVar("warnings", default=None)
_listener: ContextVar[list[Notice] | None] = ContextVar("listener", default=None)
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_HANDLER = _Handler()


def _install() -> None:
    """Take over the log of the libraries."""
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for library in (diffusers.utils.logging, transformers.logging):
        library.disable_default_handler()
        library.add_handler(_HANDLER)
    # Of peft, where a second LoRA is loaded, as it is meant to be.
    warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
    # Of peft, where a LoRA is loaded onto quantized weights: it could not be merged with them, which nobody asks for.
    warnings.filterwarnings("ignore", message="TorchaoLoraLinear was instantiated without")


# At once: some of what the libraries say they say while they are imported.
_install()
