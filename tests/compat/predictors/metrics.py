"""Recorded metrics join those of the server, in each mode."""

import threading
from typing import Any

from cog import BasePredictor, current_scope


def replace(scope):
    scope.record_metric("a", 1)
    scope.record_metric("a", 2)
    scope.record_metric("text", "x")
    scope.record_metric("flag", True)
    scope.record_metric("ratio", 0.5)
    scope.record_metric("whole", 2.0)
    scope.record_metric("items", [1, "a", None])
    scope.record_metric("table", {"k": {"d": [1]}})


def increment(scope):
    scope.record_metric("count", 1, mode="incr")
    scope.record_metric("count", 2, mode="incr")
    scope.record_metric("count", -5, mode="incr")
    scope.record_metric("sum", 0.5, mode="incr")
    scope.record_metric("sum", 0.25, mode="incr")
    scope.record_metric("after", 10)
    scope.record_metric("after", 5, mode="incr")


def append(scope):
    scope.record_metric("list", "a", mode="append")
    scope.record_metric("list", "b", mode="append")
    scope.record_metric("one", 1, mode="append")
    scope.record_metric("lists", [1], mode="append")
    scope.record_metric("lists", [2], mode="append")


def nested(scope):
    scope.record_metric("timing.load", 1.5)
    scope.record_metric("timing.run", 2.5)
    scope.record_metric("timing.steps.first", 1, mode="incr")
    scope.record_metric("timing.steps.first", 1, mode="incr")
    scope.record_metric("timing.names", "a", mode="append")


def replaced_by_nesting(scope):
    scope.record_metric("a", 1)
    scope.record_metric("a.b", 2)


def nesting_replaced(scope):
    scope.record_metric("a.b", 2)
    scope.record_metric("a", 1)


def deleted(scope):
    scope.metrics["a"] = 1
    scope.metrics["b"] = 2
    scope.metrics["a"] = None
    del scope.metrics["b"]
    scope.metrics["a"] = "another type"
    scope.metrics["c.d"] = 1
    del scope.metrics["c.d"]
    scope.metrics.delete("never")


def recorder(scope):
    scope.metrics.record("a", 1)
    scope.metrics.record("a", 2, "incr")
    scope.metrics.record("b", 3, mode="append")


def increment_over_text(scope):
    scope.record_metric("a", "text")
    scope.record_metric("a", 1, mode="incr")


def append_after_replace(scope):
    scope.record_metric("a", 1)
    scope.record_metric("a", 2, mode="append")


def numbers(scope):
    scope.record_metric("big", 2**62)
    scope.record_metric("negative", -(2**63))
    scope.record_metric("tiny", 5e-324)
    scope.record_metric("nan", float("nan"))
    scope.record_metric("inf", float("inf"))


def in_thread(scope):
    thread = threading.Thread(target=lambda: current_scope().record_metric("thread", 1))
    thread.start()
    thread.join()


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Any:
        globals()[kind](current_scope())
        return kind


REQUESTS = [
    {"input": {"kind": "replace"}},
    {"input": {"kind": "increment"}},
    {"input": {"kind": "append"}},
    {"input": {"kind": "nested"}},
    {"input": {"kind": "replaced_by_nesting"}},
    {"input": {"kind": "nesting_replaced"}},
    {"input": {"kind": "deleted"}},
    {"input": {"kind": "recorder"}},
    {"input": {"kind": "increment_over_text"}},
    {"input": {"kind": "append_after_replace"}},
    {"input": {"kind": "numbers"}},
    {"input": {"kind": "in_thread"}},
]
