"""Spans: what OpenTelemetry is told of a piece of work. Where nobody asked for traces, all of this does nothing.

A span belongs to the one around it, in the same task or in a task that was started there. No span tells a prompt, and
of a URL each tells only the host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from server import __version__
from server.worker.messages import SpanReport

CANCELED = "darkroom.canceled"
"""The attribute of a span whose work somebody did not want any more, which is no error."""

_DEFAULT_PORTS = {"http": 80, "https": 443}

_propagator = TraceContextTextMapPropagator()
_NOBODYS = trace.NoOpTracer()

_tracer: ContextVar[Tracer] = ContextVar("tracer", default=_NOBODYS)


class Tracing:
    """Where the spans of one application go; this one is for nobody.

    Attributes:
        provider: what makes spans; `None` where they are for nobody.
        with_prompts: whether what may quote a prompt is told.
    """

    def __init__(self, provider: TracerProvider | None = None, *, with_prompts: bool = False) -> None:
        self.provider = provider
        self.with_prompts = with_prompts
        self._tracer = provider.get_tracer("darkroom", __version__) if provider else _NOBODYS

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within, and in the tasks that are started there, `span` makes spans of this application."""
        token = _tracer.set(self._tracer)
        try:
            yield
        finally:
            _tracer.reset(token)

    def start(self, name: str, **attributes: AttributeValue) -> Span:
        """A span that begins a trace, and that whoever asks for it ends; `attributes` as in `span`."""
        return self._tracer.start_span(name, Context(), attributes=_named(attributes))

    def take(self, report: SpanReport) -> None:
        """Pass on a span of another process that has ended."""

    async def close(self, seconds: float) -> None:
        """Give what has not been passed on so many seconds; make no span afterwards."""


@contextmanager
def span(name: str, kind: SpanKind = SpanKind.INTERNAL, **attributes: AttributeValue) -> Iterator[Span]:
    """A span around a piece of work; it fails with what is raised within, of which the class is told.

    Args:
        name: the same for all pieces of this sort.
        kind: which side of a call it is.
        attributes: their names with `__` for each dot.
    """
    with _tracer.get().start_as_current_span(
        name, kind=kind, attributes=_named(attributes), record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except asyncio.CancelledError:
            current.set_attribute(CANCELED, True)
            raise
        except Exception as error:
            fail(current, type(error).__qualname__)
            raise


@contextmanager
def client_span(method: str, target: str, url: str) -> Iterator[Span]:
    """The span of a request to somebody else.

    Args:
        method: of HTTP.
        target: what is asked for, one word.
        url: where it goes; only its host is told.
    """
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    with span(
        f"{method} {target}",
        SpanKind.CLIENT,
        http__request__method=method,
        url__scheme=parts.scheme,
        server__address=parts.hostname or "",
        server__port=port,
    ) as current:
        yield current


def answered(current: Span, status: int | None) -> None:
    """Tell of the answer to a request, `None` where none came; what is no success fails the span."""
    if status is None:
        fail(current, "no_answer")
        return
    current.set_attribute("http.response.status_code", status)
    if status >= 400:
        fail(current, str(status))


def fail(current: Span, kind: str, description: str | None = None) -> None:
    """Say that what the span is about went wrong.

    Args:
        current: the span.
        kind: a class of errors, such as that of an exception.
        description: what may be told of it beside that.
    """
    current.set_attribute("error.type", kind)
    current.set_status(StatusCode.ERROR, description)


def carrier(current: Span | None = None) -> dict[str, str]:
    """A span, or the one around this, as the headers `traceparent` and `tracestate`; none where there is no such
    span."""
    headers: dict[str, str] = {}
    _propagator.inject(headers, trace.set_span_in_context(current) if current else None)
    return headers


@contextmanager
def continued(headers: Mapping[str, str]) -> Iterator[None]:
    """Within, spans belong to the one that `carrier` has made these headers of, where it has made any."""
    if not headers:
        yield
        return
    token = attach(_propagator.extract(headers))
    try:
        yield
    finally:
        detach(token)


def _named(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    return {key.replace("__", "."): value for key, value in attributes.items()}
