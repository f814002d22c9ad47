"""A prediction as a pure state machine: events of the worker go in by `apply`, JSON comes out.

starting -> processing -> succeeded | failed | canceled
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from server.schema.signature import Mode
from server.transcript import Transcript
from server.worker.messages import (
    Canceled,
    Failed,
    InputFault,
    Log,
    Metric,
    MetricMode,
    Output,
    PredictionEvent,
    Succeeded,
)


class Status(StrEnum):
    """The states of a prediction, as Cog and Replicate name them."""

    STARTING = "starting"
    """Accepted; waiting for its turn."""
    PROCESSING = "processing"
    """It has a slot: its files are fetched, then it runs in the worker."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow."""
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)


class WebhookEvent(StrEnum):
    """What a client may ask to be told."""

    START = "start"
    OUTPUT = "output"
    LOGS = "logs"
    COMPLETED = "completed"


def new_id() -> str:
    """A fresh id: `pred_` and 32 hexadecimal digits, safe in file names and URLs."""
    return f"pred_{secrets.token_hex(16)}"


@dataclass
class Prediction:
    """One prediction. `apply` is the only thing that changes it once it runs.

    Attributes:
        id: chosen by the client or by `new_id`.
        input: the validated input as the client sent it.
        context: what the model reads as `current_scope().context`.
        asked: whether a prediction or a training was asked for.
        status: where it is.
        output: a value, or a growing list where the predictor yields; files are strings by now.
        has_output: whether anything was put out (`None` is a value).
        error: why it failed.
        fault: the input that was at fault, where the model named one.
        metrics: what the model recorded, and `predict_time` in seconds.
        created_at, started_at, completed_at: in UTC.
    """

    id: str = field(default_factory=new_id)
    input: dict[str, Any] = field(default_factory=dict)
    context: dict[str, str] = field(default_factory=dict)
    asked: Mode = Mode.PREDICT
    status: Status = Status.STARTING
    output: Any = None
    has_output: bool = False
    error: str | None = None
    fault: InputFault | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_at: datetime | None = None
    completed_at: datetime | None = None
    _transcript: Transcript = field(default_factory=Transcript, repr=False)

    @property
    def logs(self) -> str:
        """What the model wrote; of very long logs, the end."""
        return str(self._transcript)

    def start(self) -> None:
        """Record that it is its turn."""
        self.status = Status.PROCESSING
        self.started_at = datetime.now(UTC)

    def apply(self, event: PredictionEvent) -> None:
        """Take in what the worker said.

        Raises:
            ValueError: the prediction has ended already; that is a bug of the caller.
        """
        if self.status.terminal:
            raise ValueError(f"prediction {self.id} has ended ({self.status}) and cannot take {event}")
        match event:
            case Log(text=text):
                self._transcript.append(text)
            case Output(value=value, index=None):
                self.output, self.has_output = value, True
            case Output(value=value):
                if not self.has_output:
                    self.output, self.has_output = [], True
                self.output.append(value)
            case Metric(name=name, value=value, mode=mode):
                record_metric(self.metrics, name, value, mode)
            case Succeeded(predict_time=seconds):
                self._end(Status.SUCCEEDED, seconds)
            case Failed(error=error, predict_time=seconds, fault=fault):
                self.error = error
                self.fault = fault
                self._end(Status.FAILED, seconds)
            case Canceled(predict_time=seconds):
                self._end(Status.CANCELED, seconds)

    def _end(self, status: Status, seconds: float) -> None:
        self.status = status
        self.metrics["predict_time"] = seconds
        self.completed_at = datetime.now(UTC)

    def to_dict(self) -> dict[str, Any]:
        """The whole state, as webhooks and streams send it."""
        state: dict[str, Any] = {"id": self.id, "logs": self.logs, "metrics": self.metrics, "status": self.status}
        if self.has_output:
            state["output"] = self.output
        if self.error is not None:
            state["error"] = self.error
        return state

    def to_response(self) -> dict[str, Any]:
        """What a waiting client gets. Like Cog, a failed or canceled prediction tells no output and no logs."""
        state = self.to_dict()
        if self.status in (Status.FAILED, Status.CANCELED):
            state.pop("output", None)
            state["logs"] = ""
        return state


def record_metric(metrics: dict[str, Any], name: str, value: Any, mode: MetricMode) -> None:
    """Join a recorded metric to `metrics` in place; each dot in `name` is a level of nesting."""
    *parents, leaf = name.split(".")
    for parent in parents:
        child = metrics.get(parent)
        if not isinstance(child, dict):
            child = metrics[parent] = {}
        metrics = child
    match mode:
        case MetricMode.REPLACE:
            metrics[leaf] = value
        case MetricMode.INCREMENT:
            existing = metrics.get(leaf, 0)
            # Like Cog, leave alone what is no number: a list that was appended to, a text in a recorded dict.
            if isinstance(existing, int | float) and not isinstance(existing, bool):
                metrics[leaf] = existing + value
        case MetricMode.APPEND:
            existing = metrics.get(leaf, [])
            metrics[leaf] = [*(existing if isinstance(existing, list) else [existing]), value]
        case MetricMode.DELETE:
            metrics.pop(leaf, None)
