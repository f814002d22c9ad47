"""The messages between the HTTP process and the child that owns the model.

One message is one frame (`server.worker.connection`). Big payloads stay on disk: a file travels as a `LocalFile`,
wherever it sits inside an input or an output.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from server.schema.signature import Interface


class LocalFile:
    """A file on the disk that parent and child share.

    Attributes:
        path: absolute path.
    """

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalFile) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"LocalFile({self.path!r})"


class LogSource(StrEnum):
    """Where a line of log was written."""

    STDOUT = "stdout"
    STDERR = "stderr"


class MetricMode(StrEnum):
    """How a recorded metric joins what was recorded before under the same name."""

    REPLACE = "replace"
    INCREMENT = "increment"
    APPEND = "append"
    DELETE = "delete"


class Command(Struct, frozen=True, tag=True):
    """What the parent asks of the child."""


class Predict(Command, frozen=True):
    """Run one prediction.

    Attributes:
        id: unique among the predictions in flight.
        input: validated JSON, in which files are `LocalFile`s; inputs left out take the predictor's defaults.
        output_dir: an existing, empty folder, owned by the parent, for the files that this prediction puts out.
        context: what the model reads as `current_scope().context`.
        trace: `traceparent` and `tracestate` of the span that it belongs to.
    """

    id: str
    input: dict[str, Any]
    output_dir: str
    context: dict[str, str] = {}
    trace: dict[str, str] = {}


class Cancel(Command, frozen=True):
    """Stop a prediction; nothing happens if it has ended."""

    id: str


class Healthcheck(Command, frozen=True):
    """Run the predictor's own `healthcheck()`; `id` pairs the answer with the question."""

    id: str


class Collect(Command, frozen=True):
    """Tell what is measured, even while the model works. One answer at a time: ask again only once it is there."""


class Shutdown(Command, frozen=True):
    """Finish what runs, then exit with status 0."""


class Event(Struct, frozen=True, tag=True):
    """What the child tells the parent."""


class Loaded(Event, frozen=True):
    """The predictor was imported; `setup()` comes next.

    Attributes:
        interface: what the model takes and returns.
        concurrency: how many predictions may run at once, 1 or more.
        has_healthcheck: whether the predictor has a `healthcheck()` of its own.
    """

    interface: Interface
    concurrency: int
    has_healthcheck: bool = False


class Ready(Event, frozen=True):
    """`setup()` returned.

    Attributes:
        interface: what the model takes and returns now that it is loaded; `None` where that is as before.
    """

    interface: Interface | None = None


class SetupFailed(Event, frozen=True):
    """The predictor could not be imported, inspected or set up.

    Attributes:
        error: one line, `RuntimeError: setup boom`; the traceback is in the setup's logs.
    """

    error: str


class Log(Event, frozen=True):
    """Text that ends in a newline or a carriage return, except at the end of a prediction or of setup.

    Attributes:
        id: the prediction that wrote it, or `None` during setup.
    """

    id: str | None
    source: LogSource
    text: str


class Output(Event, frozen=True):
    """A value that `predict` put out.

    Attributes:
        value: JSON, in which files are `LocalFile`s inside the prediction's `output_dir`.
        index: its place, from 0, where the predictor yields; `None` for the one value that it returns. An iterator
            that yields nothing sends one `Output` with the value `[]` and no index.
    """

    id: str
    value: Any
    index: int | None = None


class Metric(Event, frozen=True):
    """A metric as the model recorded it (dots in `name` nest); `value` is what was recorded, not the sum."""

    id: str
    name: str
    value: Any
    mode: MetricMode = MetricMode.REPLACE


class HealthResult(Event, frozen=True):
    """The answer to a `Healthcheck`; `error` says why where `ok` is false."""

    id: str
    ok: bool
    error: str | None = None


class MetricSample(Struct, frozen=True, array_like=True):
    """One number of a `MetricFamily`; `name` is the family's, with the suffix that its kind asks for."""

    name: str
    labels: dict[str, str]
    value: float


class MetricFamily(Struct, frozen=True, array_like=True):
    """What is measured under one name, as Prometheus clients tell it.

    Attributes:
        name: without the suffix of its samples.
        help: what it is, a sentence.
        type: a word of OpenMetrics, such as `counter`.
        unit: which `name` ends with; empty where it has none.
        samples: its numbers.
    """

    name: str
    help: str
    type: str
    unit: str
    samples: list[MetricSample]


class Collected(Event, frozen=True):
    """The answer to `Collect`; where that failed, `error` says why, in one line."""

    families: list[MetricFamily] = []
    error: str | None = None


class SpanEvent(Struct, frozen=True):
    """Something that happened during a span; `time` is in nanoseconds since 1970."""

    name: str
    time: int
    attributes: dict[str, Any]


class SpanReport(Event, frozen=True):
    """A span of OpenTelemetry that was made in the child: sent when it begins, and again when it has ended.

    Attributes:
        name, attributes, events, kind: as OpenTelemetry has them; `kind` is the number that it has there.
        trace_id, span_id, parent_id: in hexadecimal digits; `parent_id` is `None` where a trace begins.
        trace_state: what the headers of HTTP call `tracestate`.
        links: the contexts of other spans, each as trace id, span id and attributes.
        scope: the name and the version of what made it.
        error: whether it failed; `None` says nothing about it.
        description: what is told of that.
        started, ended: in nanoseconds since 1970; `ended` is `None` while it goes on.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    trace_state: str
    kind: int
    scope: tuple[str, str]
    attributes: dict[str, Any]
    events: tuple[SpanEvent, ...]
    links: tuple[tuple[str, str, dict[str, Any]], ...]
    error: bool | None
    description: str | None
    started: int
    ended: int | None = None


class Succeeded(Event, frozen=True):
    """The last event of a prediction that returned; `predict_time` is in seconds."""

    id: str
    predict_time: float


class InputFault(Struct, frozen=True):
    """What a model says of an input that only it could judge.

    Attributes:
        input: the input's name.
        message: what is wrong with it, without its name.
    """

    input: str
    message: str


class Failed(Event, frozen=True):
    """The last event of a prediction that raised, or whose child died.

    Attributes:
        fault: the input that was at fault, where what was raised names one.
        trace: else where the exception, and each that led to it, came from, and what it says, in pairs.
    """

    id: str
    error: str
    predict_time: float
    fault: InputFault | None = None
    trace: tuple[tuple[str, str], ...] = ()


class Canceled(Event, frozen=True):
    """The last event of a prediction that was canceled, whatever its code made of that."""

    id: str
    predict_time: float


AnyCommand = Predict | Cancel | Healthcheck | Collect | Shutdown
TerminalEvent = Succeeded | Failed | Canceled
PredictionEvent = Log | Output | Metric | TerminalEvent
"""The events that `Worker.run` yields: any number of the first three, then exactly one of the last three."""
AnyEvent = Loaded | Ready | SetupFailed | HealthResult | Collected | SpanReport | PredictionEvent
