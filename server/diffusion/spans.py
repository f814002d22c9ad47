"""Spans of OpenTelemetry: what takes the time of a request. Where it is not installed, or nobody wants traces, none.

No span tells a prompt, or any other input.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

try:
    from opentelemetry import context, trace
except ImportError:
    # Cog installs a model's own requirements, which may leave it out.
    _tracer = None
else:
    _tracer = trace.get_tracer("darkroom.diffusion")

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from server.diffusion.gates import Gate

_STAGES = {"PREPARE": "darkroom.encode_image", "DENOISE": "darkroom.denoise", "DECODE": "darkroom.decode"}


@contextmanager
def span(name: str, **attributes: bool | int | float | str) -> Iterator[None]:
    """A span around what is done within, or in the function that this decorates; not for generators.

    Args:
        name: the same for all that is of this sort.
        attributes: told as `darkroom.NAME`.
    """
    if _tracer is None:
        yield
        return
    named = {f"darkroom.{key}": value for key, value in attributes.items()}
    with _tracer.start_as_current_span(
        name, attributes=named, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield
        except Exception as error:
            _fail(current, error)
            raise


def annotate(**attributes: bool | int | float | str) -> None:
    """Tell more of the span around this; as in `span`."""
    if _tracer is not None:
        trace.get_current_span().set_attributes({f"darkroom.{key}": value for key, value in attributes.items()})


class Stages:
    """The stages of one run of a pipeline, a span each: from its first call at a gate to the first of another stage.

    To be made where the run is asked for; the rest belongs to the device's thread. On a GPU, a stage has been asked for
    when its span ends, and the device may need some milliseconds more.
    """

    def __init__(self) -> None:
        # Spans are for those who want them; this is in the way of every pass.
        self._wanted = _tracer is not None and trace.get_current_span().is_recording()
        self._context: Any = context.get_current() if self._wanted else None
        self._name = ""
        self._span: Span | None = None
        self._parked = 0.0
        self._waited = 0.0
        self._passes = 0
        self._requests = 0

    def park(self, gate: Gate) -> None:
        """Say that the run waits at a gate."""
        if not self._wanted:
            return
        name = _name(gate)
        if name != self._name:
            self.end()
            assert _tracer is not None
            self._name, self._span = name, _tracer.start_span(name, self._context)
        self._parked = time.perf_counter()

    def go(self, requests: int) -> None:
        """Say that the call is made now, in one pass for so many requests."""
        if self._wanted:
            self._waited += time.perf_counter() - self._parked
            self._passes += 1
            self._requests += requests

    def end(self, error: BaseException | None = None) -> None:
        """Say that the run has ended, by an error where there is one."""
        if self._span is None:
            return
        self._span.set_attribute("darkroom.passes", self._passes)
        self._span.set_attribute("darkroom.wait_seconds", round(self._waited, 6))
        if self._passes:
            self._span.set_attribute("darkroom.requests_per_pass", round(self._requests / self._passes, 3))
        if isinstance(error, Exception):
            _fail(self._span, error)
        elif error is not None:
            self._span.set_attribute("darkroom.canceled", True)
        self._span.end()
        self._name, self._span = "", None
        self._waited, self._passes, self._requests = 0.0, 0, 0


def _name(gate: Gate) -> str:
    return "darkroom.encode_text" if "text" in gate.name else _STAGES[gate.stage.name]


def _fail(current: Span, error: Exception) -> None:
    current.set_attribute("error.type", type(error).__qualname__)
    current.set_status(trace.StatusCode.ERROR)
