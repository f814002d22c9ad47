"""Bodies as in the wire facts of Cog 0.23.1."""

from __future__ import annotations

import re
from typing import Any

import pytest

from server.prediction import Prediction, Status, new_id, record_metric
from server.worker.messages import (
    Canceled,
    Failed,
    Log,
    LogSource,
    Metric,
    MetricMode,
    Output,
    PredictionEvent,
    Succeeded,
)


def run(*events: PredictionEvent) -> Prediction:
    prediction = Prediction("p")
    prediction.start()
    for event in events:
        prediction.apply(event)
    return prediction


def log(text: str) -> Log:
    return Log("p", LogSource.STDOUT, text)


def test_a_prediction_that_returns() -> None:
    prediction = run(log("o1\n"), log("e1\n"), Output("p", "x"), Succeeded("p", 0.111))
    body = {
        "id": "p",
        "logs": "o1\ne1\n",
        "metrics": {"predict_time": 0.111},
        "output": "x",
        "status": "succeeded",
    }
    assert prediction.to_dict() == prediction.to_response() == body


def test_null_is_an_output() -> None:
    assert run(Output("p", None), Succeeded("p", 0.1)).to_response()["output"] is None


def test_an_iterator_accumulates() -> None:
    prediction = run(Output("p", "c0", 0), Output("p", None, 1))
    assert prediction.to_dict() == {
        "id": "p",
        "logs": "",
        "metrics": {},
        "output": ["c0", None],
        "status": "processing",
    }


def test_a_failure_is_told_whole_by_webhook_and_without_output_and_logs_to_who_waits() -> None:
    prediction = run(log("l\n"), Output("p", "c0", 0), Metric("p", "m", 1), Failed("p", "ValueError: mid boom", 0.2))
    ending = {"error": "ValueError: mid boom", "id": "p", "metrics": {"m": 1, "predict_time": 0.2}, "status": "failed"}
    assert prediction.to_dict() == {**ending, "logs": "l\n", "output": ["c0"]}
    assert prediction.to_response() == {**ending, "logs": ""}


def test_a_cancel_is_told_likewise() -> None:
    prediction = run(log("l\n"), Output("p", "c0", 0), Canceled("p", 0.402))
    ending = {"id": "p", "metrics": {"predict_time": 0.402}, "status": "canceled"}
    assert prediction.to_dict() == {**ending, "logs": "l\n", "output": ["c0"]}
    assert prediction.to_response() == {**ending, "logs": ""}


@pytest.mark.parametrize("end", [Succeeded("p", 0.1), Failed("p", "e", 0.1), Canceled("p", 0.1)])
def test_nothing_follows_the_end(end: PredictionEvent) -> None:
    prediction = run(end)
    assert prediction.status.terminal
    assert prediction.completed_at is not None
    with pytest.raises(ValueError, match="prediction p has ended"):
        prediction.apply(log("late\n"))


def test_only_the_three_ends_are_terminal() -> None:
    assert {status for status in Status if status.terminal} == {"succeeded", "failed", "canceled"}


def test_ids_are_cogs() -> None:
    assert re.fullmatch(r"pred_[0-9a-f]{32}", new_id())
    assert new_id() != new_id()


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([("a", 1, MetricMode.REPLACE), ("a", 2, MetricMode.REPLACE)], {"a": 2}),
        ([("a", 1, MetricMode.INCREMENT), ("a", 2.5, MetricMode.INCREMENT)], {"a": 3.5}),
        ([("a", 1, MetricMode.APPEND), ("a", "b", MetricMode.APPEND)], {"a": [1, "b"]}),
        ([("a", 1, MetricMode.REPLACE), ("a", 2, MetricMode.APPEND)], {"a": [1, 2]}),
        ([("a", "x", MetricMode.REPLACE), ("a", 1, MetricMode.INCREMENT)], {"a": "x"}),
        ([("t.a", 1, MetricMode.REPLACE), ("t.b.c", 2, MetricMode.REPLACE)], {"t": {"a": 1, "b": {"c": 2}}}),
        ([("a", 1, MetricMode.REPLACE), ("a", None, MetricMode.DELETE)], {}),
        ([("t.a", 1, MetricMode.REPLACE), ("t.b", None, MetricMode.DELETE)], {"t": {"a": 1}}),
        ([("a", None, MetricMode.DELETE)], {}),
    ],
)
def test_metrics_join(records: list[tuple[str, Any, MetricMode]], expected: dict[str, Any]) -> None:
    metrics: dict[str, Any] = {}
    for name, value, mode in records:
        record_metric(metrics, name, value, mode)
    assert metrics == expected
