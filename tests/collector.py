"""A collector of traces: OTLP over HTTP, on a real socket."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

_KINDS = {number: name.removeprefix("SPAN_KIND_") for name, number in trace_pb2.Span.SpanKind.items()}
_SECONDS = 60


@dataclass(frozen=True)
class Span:
    """A span as it came in; ids are hexadecimal digits, times nanoseconds."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    kind: str
    attributes: dict[str, Any]
    failed: bool
    description: str
    events: list[tuple[str, dict[str, Any]]]
    started: int
    ended: int
    scope: str
    resource: dict[str, Any]


@dataclass
class Collector:
    """Where it listens, what has come in, and with which headers; an answer is `status`."""

    url: str = ""
    status: int = 200
    spans: list[Span] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a server sends its traces here, soon after they were made."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "20", "NO_PROXY": "127.0.0.1"}

    def wait_for(self, name: str, found: Callable[[Span], bool] = lambda _: True) -> Span:
        """Wait for a span of a name; the first one that has come in."""
        with self._arrived:
            fits = lambda: next((span for span in self.spans if span.name == name and found(span)), None)  # noqa: E731
            span = self._arrived.wait_for(fits, _SECONDS)
        assert span, f"no {name} among {[span.name for span in self.spans]}"
        return span

    def of_prediction(self, id: str, name: str = "cog.prediction") -> Span:
        """Wait for the span of a prediction."""
        return self.wait_for(name, lambda span: span.attributes.get("cog.prediction.id") == id)

    def tree(self, root: Span) -> dict[str, Any]:
        """The names of what is below a span, as it is nested there; of several of one name the first."""
        children = [span for span in self.spans if span.parent_id == root.span_id and span.trace_id == root.trace_id]
        return {span.name: self.tree(span) for span in sorted(children, key=lambda span: -span.started)}

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """Take in what an exporter sends."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._arrived:
            self.headers.append(headers)
            for resource in request.resource_spans:
                about = _plain(resource.resource.attributes)
                for scope in resource.scope_spans:
                    self.spans.extend(_span(span, scope.scope.name, about) for span in scope.spans)
            self._arrived.notify_all()


@contextmanager
def running_collector(status: int = 200) -> Iterator[Collector]:
    """Collect on a free port of this machine."""
    collector = Collector(status=status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            collector.take(body, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def _span(span: trace_pb2.Span, scope: str, resource: dict[str, Any]) -> Span:
    return Span(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.trace_state,
        _KINDS[span.kind],
        _plain(span.attributes),
        span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        span.status.message,
        [(event.name, _plain(event.attributes)) for event in span.events],
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        scope,
        resource,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    items: list[KeyValue] = list(attributes)
    return {item.key: _value(item.value) for item in items}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None
