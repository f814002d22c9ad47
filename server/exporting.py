"""Traces to a collector. This alone needs OpenTelemetry's SDK, which `darkroom-server[traces]` brings."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points

from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from server import __version__
from server.discretion import without_secrets
from server.tracing import Tracing
from server.worker.messages import SpanReport

logger = logging.getLogger(__name__)

_GROUP = "opentelemetry_traces_exporter"
_LONGEST_REASON = 300

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def exporter(name: str) -> SpanExporter | None:
    """The exporter that an installed package offers by this name; `None`, and a warning, where none does or it cannot
    be made as its variables say."""
    offers = entry_points(group=_GROUP)
    if name not in offers.names:
        logger.warning(
            "No traces are made for the exporter %r, which no installed package offers. "
            "Choose another by OTEL_TRACES_EXPORTER or OTEL_EXPORTER_OTLP_PROTOCOL: %s",
            name,
            ", ".join(sorted(offers.names)),
        )
        return None
    try:
        made: SpanExporter = offers[name].load()()
    except Exception as error:
        # Other people's code, and what it is configured by may be anything.
        logger.warning("No traces are made for the exporter %r, which cannot be made: %s", name, error)
        return None
    return made


class Export(Tracing):
    """Traces that are exported, by a thread for each exporter, which nothing waits for.

    The sampler, the limits and the size of the queue come from `OTEL_*` variables. What does not fit into the queue is
    dropped.

    Args:
        exporters: whom to give spans.
        with_prompts: whether what may quote a prompt is told.
        model: what is served, which the resource tells.
    """

    def __init__(
        self, exporters: Sequence[SpanExporter], *, with_prompts: bool = False, model: str | None = None
    ) -> None:
        _listen()
        self._resource = _resource(model)
        self._exporters = [_Telling(one) for one in exporters]
        self._processors = [BatchSpanProcessor(one) for one in self._exporters]
        self._provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self._provider.add_span_processor(_Redacting())
        for processor in self._processors:
            self._provider.add_span_processor(processor)
        super().__init__(self._provider, with_prompts=with_prompts)

    def take(self, report: SpanReport) -> None:
        """Pass on a span of another process that has ended."""
        made = _span(report, self._resource)
        for processor in self._processors:
            processor.on_end(made)

    async def close(self, seconds: float) -> None:
        """Give what has not been passed on so many seconds; make no span afterwards."""
        loop, flushed = asyncio.get_running_loop(), asyncio.Event()

        def flush() -> None:
            self._provider.shutdown()
            # The loop may have given up.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(flushed.set)

        threading.Thread(target=flush, name="darkroom-traces", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                await flushed.wait()
        except TimeoutError:
            if not any(one.fails for one in self._exporters):
                logger.warning("Traces were not exported before the server stopped")
        for one in self._exporters:
            one.shutdown()


class _Telling(SpanExporter):
    """Passes spans on, and tells the log once that this does not work, and once that it does again.

    Attributes:
        fails: whether it does not work.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self.fails = False
        self._exporter = exporter
        self._lost = 0
        self._stopped = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Pass spans on."""
        with _reasons.told_to(self._fail):
            result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._fail(None)
            self._lost += len(spans)
        elif self.fails:
            logger.info("Traces are exported again", extra={"lost_spans": self._lost})
            self.fails, self._lost = False, 0
        return result

    def shutdown(self) -> None:
        """Stop, once; what goes on is given up."""
        if not self._stopped:
            self._stopped = True
            with _reasons.told_to(self._fail):
                self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Pass on what the exporter keeps."""
        return self._exporter.force_flush(timeout_millis)

    def _fail(self, reason: str | None) -> None:
        if not self.fails:
            self.fails = True
            logger.warning("Traces cannot be exported", extra={"reason": reason and reason[:_LONGEST_REASON]})


class _Redacting(SpanProcessor):
    """Keeps the query of a URL, which may hold anything, out of the spans that FastAPI makes."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        if "url.query" in (span.attributes or {}):
            span.set_attribute("url.query", "REDACTED")


class _Reasons(logging.Handler):
    """Takes what exporters log while they export, again and again, out of the log."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    @contextmanager
    def told_to(self, listener: Callable[[str], None]) -> Iterator[None]:
        """Within, the exporter of this thread tells `listener` instead."""
        self._thread.listener = listener
        try:
            yield
        finally:
            del self._thread.listener

    def emit(self, record: logging.LogRecord) -> None:
        if listener := getattr(self._thread, "listener", None):
            listener(record.getMessage())
        else:
            logging.getLogger().handle(record)


_reasons = _Reasons()


def _listen() -> None:
    exporters = logging.getLogger("opentelemetry.exporter")
    exporters.addHandler(_reasons)
    exporters.propagate = False
    # It would say so again and again.
    queue = logging.getLogger("opentelemetry.sdk._shared_internal")
    queue.addFilter(_is_not_of_the_queue)


def _is_not_of_the_queue(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Queue full")


def _resource(model: str | None) -> Resource:
    ours = {"service.name": "darkroom", "service.version": __version__}
    if model:
        ours["darkroom.model"] = without_secrets(model)
    # What is given here would be stronger than the variables.
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


def _span(report: SpanReport, resource: Resource) -> ReadableSpan:
    state = TraceState.from_header([report.trace_state])

    def context(trace_id: str, span_id: str) -> SpanContext:
        return SpanContext(int(trace_id, 16), int(span_id, 16), False, _SAMPLED, state)

    status = StatusCode.UNSET if report.error is None else StatusCode.ERROR if report.error else StatusCode.OK
    return ReadableSpan(
        report.name,
        context(report.trace_id, report.span_id),
        context(report.trace_id, report.parent_id) if report.parent_id else None,
        resource,
        report.attributes,
        [Event(event.name, event.attributes, event.time) for event in report.events],
        [Link(context(trace_id, span_id), attributes) for trace_id, span_id, attributes in report.links],
        SpanKind(report.kind),
        status=Status(status, report.description),
        start_time=report.started,
        end_time=report.ended,
        instrumentation_scope=InstrumentationScope(*report.scope),
    )
