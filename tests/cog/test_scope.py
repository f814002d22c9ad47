"""Metrics and context: what the real runtime of Cog does with the same lines of Python, ours does too."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from server.cog.scope import Scope, current_scope, prediction_scope
from server.prediction import record_metric
from server.schema.inspect import inspect_predictor
from server.schema.openapi import openapi_document
from server.worker.messages import MetricMode
from tests.compat.real_cog import ask_cog, running_cog
from tests.conftest import PREDICTORS
from tests.schema.conftest import loading

PREDICTOR = PREDICTORS / "evaluate.py"

NAMES = [
    *("", "a", "A", "_a", "a_", "a__b", "1a", "a1", "a-b", "a b", "é", "aé", ".a", "a.", "a..b", "a.b.c.d"),
    *("a.b.c.d.e", "a" * 128, "a" * 129, "é" * 100, "b.1b", "b._b", "b.b_", "b.b__c", "predict_time"),
    *("predict_time.x", "x.predict_time", "cog", "cog.x", "cogs.x", "Cog.x", "c.cog.x", "cog.", "cog_x"),
    *(".", "..", "_", "__", "a\n", "d.b\0", "cog." + "a" * 200, "." + "a" * 200, "a.b.c.d.e_"),
]

PROGRAMS = {
    "names": [f"m.record({name!r}, 1)" for name in NAMES],
    "deleted names": [f"m.delete({name!r})" for name in NAMES],
    "types": [
        *('m.record("a", 1)', 'm.record("a", 1.5)', 'm.record("a", True)', 'm.record("a", "s")', 'm.record("a", 2)'),
        *('m.record("b", [])', 'm.record("b", {})', 'm.record("b", None)', 'm.__setitem__("b", None)'),
        *('m.__setitem__("b", {"x": 1})', 'm.__delitem__("b")', 'm.__setitem__("b", "s")', 'm.__delitem__("z")'),
        *('m.record("c", (1,))', 'm.record("d", {"a": (1,)})', 'm.record("e", b"x")', 'm.record("f", set())'),
        *('m.record("g", [None, 1, "x", [True]])', 'm.record("h", {"a": None})', 'm.record("i", {"a": object()})'),
        *('m.record("j", type("I", (int,), {})(5))', 'm.record("k", type("S", (str,), {})("x"))'),
    ],
    "modes": [
        *('m.record("i", 1, "incr")', 'm.record("i", 2, "incr")', 'm.record("i", 0.5, "incr")'),
        *('m.record("f", 1.5, "incr")', 'm.record("f", 1, "incr")', 'm.record("b", True, "incr")'),
        *('m.record("s", "a", "incr")', 'm.record("l", [1], "incr")', 'm.record("x", 1, "increment")'),
        *('m.record("x", 1, "bogus")', 'm.record("x", 1, "")', 'm.record("x", 1, "INCR")', 'm.record("x", 1, None)'),
        *('m.record("_bad", object(), "bogus")', 'm.record("_bad", object())'),
        *('m.record("p", 1, "append")', 'm.record("p", 2, "append")', 'm.record("p", "x", "append")'),
        *('m.record("p", [5], "append")', 'm.record("r", 3)', 'm.record("r", 4, "append")'),
        *('m.record("u", 1, "append")', 'm.record("u", 1, "incr")', 'm.record("v", "x")', 'm.record("w", True)'),
        *(
            'm.record("y", {"z": "x", "b": True, "n": None})',
            'm.record("y.z", 1, "incr")',
            'm.record("y.b", 1, "incr")',
        ),
        *('m.record("y.n", 1, "incr")', 'm.record("y.z", 1, "append")', 'm.record("y.n", 1, "append")'),
        *('m.record("q", [1])', 'm.record("q", [2], "append")', 'm.record("t", 1, "append")', 'm.record("t", 3)'),
    ],
    "nesting": [
        *('m.record("a", 1)', 'm.record("a.b", 1)', 'm.record("c.d", 1)', 'm.record("c", 1)'),
        *('m.record("e.f", 1, "incr")', 'm.record("e.f", 1, "incr")', 'm.record("e.g", [1])', 'm.delete("e.f")'),
        *('m.record("h", {"x": 1})', 'm.record("h.y", 2)', 'm.record("h.x", 5, "incr")', 'm.delete("c")'),
        *('m.record("k.l.m.n", 1)', 'm.delete("k.l")', 'm.record("o.p", "x")', 'm.record("o.p", "x", "append")'),
    ],
    "numbers": [
        *('m.record("a", float("nan"))', 'm.record("b", float("inf"))', 'm.record("c", 2**63)'),
        *(
            'm.record("e", 10**400)',
            'm.record("f", [float("nan")])',
            'm.record("g", 1)',
            'm.record("h", 1.5, "append")',
        ),
        *('m.record("h", float("nan"), "append")', 'm.record("i", 1.5, "incr")', 'm.record("i", float("nan"), "incr")'),
        *('m.record("j", float("nan"), "incr")', 'm.record("k", "\\ud800")', 'm.record("l", -(2**63))'),
    ],
    "shortcuts": [
        *('s.record_metric("a", 1, "append")', 's.record_metric(key="b", value=1, mode="incr")'),
        *('self.record_metric("c", 1)', 'self.record_metric("c", 1, mode="incr")', "self.scope is s"),
        *(
            "current_scope() is s",
            "s.metrics is m",
            "(m, s)",
            'm.delete("a")',
            "(m, s)",
            "s.context",
            "type(s.context)",
        ),
        *("s.context is s.context", 'm["a"]', "list(m)", '"a" in m', "s.no_such"),
    ],
    "threads": [
        *("[found := []]", "len([thread := threading.Thread(target=lambda: found.append(current_scope()))])"),
        *("thread.start()", "thread.join()", "found[0] is s"),
    ],
}


@pytest.fixture(scope="module")
def cog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with loading() as load:
        document = openapi_document(inspect_predictor(load(PREDICTOR)))
    with running_cog(PREDICTOR.stem, document, tmp_path_factory.mktemp("cog")) as client:
        yield client


@pytest.mark.parametrize("lines", PROGRAMS.values(), ids=PROGRAMS)
def test_metrics_are_recorded_as_by_cog(lines: list[str], cog: httpx.Client) -> None:
    body = {"input": {"code": "\n".join(lines)}, "context": {"user": "me"}}
    prediction = ask_cog(cog, "POST", "/predictions", json=body).json()
    results, metrics = _run_here("\n".join(lines))
    expected = [_without_module(result) for result in json.loads(prediction["output"])]
    assert list(zip(lines, map(_without_module, results), strict=True)) == list(zip(lines, expected, strict=True))
    # What a model records under this name gives way to the server's own.
    metrics["predict_time"] = prediction["metrics"]["predict_time"]
    assert metrics == prediction["metrics"]


def _run_here(code: str) -> tuple[list[str], dict[str, Any]]:
    metrics: dict[str, Any] = {}
    with loading() as load:
        predictor: Any = load(PREDICTOR)
        scope = Scope({"user": "me"}, lambda name, value, mode: record_metric(metrics, name, value, mode))
        with prediction_scope(scope):
            return json.loads(predictor.predict(code)), metrics


def _without_module(result: str) -> str:
    return result.replace("coglet._sdk.", "").replace("server.cog.scope.", "")


@pytest.mark.parametrize("line", ["5, 1", "None, 1", "'a', 1, 5"])
def test_keys_and_modes_are_strings(line: str) -> None:
    # Cog's own message is about Rust.
    with prediction_scope(Scope({}, lambda *_: None)) as scope, pytest.raises(TypeError, match=r"must be a str, not"):
        eval(f"scope.metrics.record({line})", {"scope": scope})


def test_outside_a_prediction_nothing_is_recorded() -> None:
    scope = current_scope()
    scope.record_metric("_bad", object())
    scope.metrics["a"] = 1
    del scope.metrics["a"]
    assert repr(scope) == "Scope(MetricRecorder(inactive))"
    assert scope.context == {}


def test_the_mode_is_checked_even_there() -> None:
    with pytest.raises(TypeError, match="Invalid metric mode: 'bogus'"):
        current_scope().record_metric("a", 1, mode="bogus")


def test_after_the_prediction_nothing_is_recorded() -> None:
    recorded: list[tuple[str, Any, MetricMode]] = []
    with prediction_scope(Scope({}, lambda *metric: recorded.append(metric))) as scope:
        scope.record_metric("a", 1)
    scope.record_metric("b", 2)
    assert recorded == [("a", 1, MetricMode.REPLACE)]


async def test_concurrent_predictions_have_scopes_of_their_own() -> None:
    barrier = asyncio.Barrier(2)

    async def predict(user: str) -> tuple[dict[str, str], dict[str, str]]:
        with prediction_scope(Scope({"user": user}, lambda *_: None)):
            await barrier.wait()
            in_thread = await asyncio.to_thread(current_scope)
            await barrier.wait()
            return current_scope().context, in_thread.context

    first, second = await asyncio.gather(predict("a"), predict("b"))
    assert first == ({"user": "a"}, {"user": "a"})
    assert second == ({"user": "b"}, {"user": "b"})


def test_a_thread_gets_no_scope_while_there_are_several() -> None:
    found: list[Scope] = []
    with prediction_scope(Scope({"user": "a"}, None)), prediction_scope(Scope({"user": "b"}, None)):
        thread = threading.Thread(target=lambda: found.append(current_scope()))
        thread.start()
        thread.join()
    assert found[0].context == {}


def test_metrics_of_many_threads_come_one_at_a_time() -> None:
    running: list[None] = []
    most = 0

    def emit(*_: object) -> None:
        nonlocal most
        running.append(None)
        most = max(most, len(running))
        running.pop()

    def count(scope: Scope) -> None:
        for _ in range(500):
            scope.record_metric("a", 1, "incr")

    with prediction_scope(Scope({}, emit)) as scope:
        threads = [threading.Thread(target=count, args=[scope]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 1
