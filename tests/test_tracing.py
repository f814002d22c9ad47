"""Traces of real servers, as a collector gets them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.collector import Collector, running_collector
from tests.conftest import Serve, Server

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(serve_module: Serve, collector: Collector) -> Server:
    return serve_module("run_code_async", env=collector.environment)


def test_a_prediction_is_a_span_within_that_of_its_request(traced: Server, collector: Collector) -> None:
    body = {"id": "tree", "input": {"code": "result = 1"}}
    response = traced.client.post("/predictions", json=body, headers={"traceparent": TRACEPARENT, "tracestate": "a=b"})
    assert response.json()["output"] == 1
    prediction = collector.of_prediction("tree")
    request = collector.wait_for("POST /predictions", lambda span: span.span_id == prediction.parent_id)
    assert (request.trace_id, request.parent_id, request.kind) == (TRACE, PARENT, "SERVER")
    assert request.attributes["http.response.status_code"] == 200
    assert prediction.trace_id == TRACE
    assert prediction.trace_state == "a=b"
    assert prediction.attributes == {"cog.prediction.id": "tree", "cog.prediction.status": "succeeded"}
    assert not prediction.failed
    assert collector.tree(prediction) == {
        "darkroom.queue": {},
        "cog.prediction.prepare_input": {},
        "cog.prediction.execute": {"cog.prediction.invoke": {}},
    }
    assert prediction.resource["service.name"] == "darkroom"
