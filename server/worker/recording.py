"""Spans in the child: reported to the parent, which exports them. This needs OpenTelemetry's SDK."""

from __future__ import annotations

import logging

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from server.errors import ConnectionClosed, UnsendableMessage
from server.tracing import Tracing
from server.worker.connection import ChildConnection
from server.worker.messages import SpanEvent, SpanReport

logger = logging.getLogger(__name__)


def record(connection: ChildConnection) -> Tracing:
    """From now on report the spans of this process, those of the model's own code as well.

    The provider is OpenTelemetry's global one: by that, code that knows nothing of this server makes spans.
    """
    # What the resource is, the parent knows.
    provider = TracerProvider(resource=Resource.get_empty(), shutdown_on_exit=False)
    provider.add_span_processor(_Reporting(connection))
    trace.set_tracer_provider(provider)
    return Tracing(provider)


class _Reporting(SpanProcessor):
    """Reports a span when it begins, too, so that it is known of though this process may be killed.

    Args:
        connection: to the parent.
    """

    def __init__(self, connection: ChildConnection) -> None:
        self._connection = connection

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        self._report(span)

    def on_end(self, span: ReadableSpan) -> None:
        self._report(span)

    def _report(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        try:
            # Whoever makes spans, such as the thread that owns the device, has better to do than to wait.
            self._connection.send(_report(span, context), wait=False)
        except ConnectionClosed:
            # In a process that the model has forked.
            return
        except UnsendableMessage as error:
            logger.warning("The span %r cannot be exported: %s", span.name, error)


def _report(span: ReadableSpan, context: trace.SpanContext) -> SpanReport:
    scope, status = span.instrumentation_scope, span.status
    return SpanReport(
        name=span.name,
        trace_id=format_trace_id(context.trace_id),
        span_id=format_span_id(context.span_id),
        parent_id=format_span_id(span.parent.span_id) if span.parent else None,
        trace_state=context.trace_state.to_header(),
        kind=span.kind.value,
        scope=(scope.name, scope.version or "") if scope else ("", ""),
        attributes=dict(span.attributes or {}),
        events=tuple(SpanEvent(event.name, event.timestamp, dict(event.attributes or {})) for event in span.events),
        links=tuple(
            (format_trace_id(link.context.trace_id), format_span_id(link.context.span_id), dict(link.attributes or {}))
            for link in span.links
        ),
        error=None if status.status_code is StatusCode.UNSET else status.status_code is StatusCode.ERROR,
        description=status.description,
        started=span.start_time or 0,
        ended=span.end_time,
    )
