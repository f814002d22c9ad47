"""Traces of real servers, as a collector gets them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

from server.telemetry import open_tracing
from server.tracing import Tracing, span
from tests.api.clients import client_of
from tests.collector import Collector, running_collector
from tests.conftest import ROOT, Serve, Server
from tests.service.peer import answering, running_peer

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


@pytest.mark.parametrize(
    "traceparent",
    [
        "00-a-b-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        "é" * 55,
        "x" * 10_000,
    ],
)
async def test_a_malformed_traceparent_begins_a_trace(traceparent: str, traced: Server, collector: Collector) -> None:
    id_ = f"malformed-{abs(hash(traceparent))}"
    headers = [(b"traceparent", traceparent.encode()), (b"tracestate", b"a=b")]
    async with running_peer(answering()) as peer, client_of(traced.url) as client:
        body = {"id": id_, "input": {"code": ""}, "webhook": peer.url, "webhook_events_filter": ["completed"]}
        assert (await client.post("/predictions", json=body, headers=headers)).status_code == 200
        [told] = await peer.wait_for(1)
    prediction = collector.of_prediction(id_)
    request = collector.wait_for("POST /predictions", lambda span: span.span_id == prediction.parent_id)
    assert request.parent_id == ""
    assert request.trace_id not in (TRACE, "0" * 32)
    assert told.headers["traceparent"].startswith(f"00-{request.trace_id}-")
    assert "tracestate" not in told.headers


async def test_webhooks_continue_the_trace(traced: Server, collector: Collector) -> None:
    async with running_peer(answering()) as peer, client_of(traced.url) as client:
        body = {"id": "hooked", "input": {"code": ""}, "webhook": f"{peer.url}/secret"}
        await client.post("/predictions", json=body, headers={"traceparent": TRACEPARENT, "tracestate": "a=b"})
        told = await peer.wait_for(2)
    prediction = collector.of_prediction("hooked")
    for request in told[:2]:
        _, trace, span_id, flags = request.headers["traceparent"].split("-")
        assert (trace, flags, request.headers["tracestate"]) == (TRACE, "01", "a=b")
        webhook = collector.wait_for("POST webhook", lambda span, id_=span_id: span.span_id == id_)  # type: ignore[misc]
        assert (webhook.parent_id, webhook.kind) == (prediction.span_id, "CLIENT")
        assert webhook.attributes == {
            "http.request.method": "POST",
            "http.response.status_code": 200,
            "server.address": "127.0.0.1",
            "server.port": int(peer.url.rpartition(":")[2]),
            "url.scheme": "http",
        }


async def test_what_is_not_sampled_is_not_told_and_says_so_to_others(traced: Server, collector: Collector) -> None:
    async with running_peer(answering()) as peer, client_of(traced.url) as client:
        body = {"id": "unsampled", "input": {"code": ""}, "webhook": peer.url, "webhook_events_filter": ["completed"]}
        await client.post("/predictions", json=body, headers={"traceparent": f"00-{'c' * 32}-{PARENT}-00"})
        [told] = await peer.wait_for(1)
        await client.post("/predictions", json={"id": "sampled", "input": {"code": ""}})
    assert told.headers["traceparent"].startswith(f"00-{'c' * 32}-")
    assert told.headers["traceparent"].endswith("-00")
    collector.of_prediction("sampled")
    assert not [span for span in collector.spans if span.trace_id == "c" * 32]


def test_an_error_is_told_by_its_class(traced: Server, collector: Collector) -> None:
    code = "raise LookupError('secret kite')"
    traced.client.post("/predictions", json={"id": "wrong", "input": {"code": code}})
    prediction = collector.of_prediction("wrong")
    assert (prediction.failed, prediction.attributes["error.type"]) == (True, "prediction_failed")
    assert prediction.attributes["cog.prediction.status"] == "failed"
    execute = collector.wait_for("cog.prediction.execute", lambda span: span.parent_id == prediction.span_id)
    invoke = collector.of_prediction("wrong", "cog.prediction.invoke")
    assert (execute.failed, invoke.failed, invoke.attributes["error.type"]) == (True, True, "LookupError")
    assert "secret" not in str([span for span in collector.spans if span.trace_id == prediction.trace_id])


def logs_with(server: Server, body: dict[str, Any], text: str) -> str:
    """The logs of a prediction that runs, once it has written a text."""
    while text not in (logs := server.client.put(f"/predictions/{body['id']}", json=body).json()["logs"]):
        pass
    return str(logs)


def test_a_canceled_prediction_is_no_error(traced: Server, collector: Collector) -> None:
    body = {"id": "canceled", "input": {"code": "import asyncio\nprint('here')\nawait asyncio.sleep(1000)"}}
    traced.client.put("/predictions/canceled", json=body, headers={"Prefer": "respond-async"})
    logs_with(traced, body, "here")
    traced.client.post("/predictions/canceled/cancel")
    prediction = collector.of_prediction("canceled")
    invoke = collector.of_prediction("canceled", "cog.prediction.invoke")
    execute = collector.wait_for("cog.prediction.execute", lambda span: span.parent_id == prediction.span_id)
    for told in (prediction, invoke, execute):
        assert (told.failed, told.attributes["darkroom.canceled"]) == (False, True)
    assert prediction.attributes["cog.prediction.status"] == "canceled"


def test_the_models_own_spans_are_told(traced: Server, collector: Collector) -> None:
    code = """
from opentelemetry import trace
tracer = trace.get_tracer("mine", "1.2")
with tracer.start_as_current_span("first") as first: pass
link = trace.Link(first.get_span_context(), {"why": "before"})
attributes = {"text": "é", "many": [1, 2], "large": 2**62, "yes": True}
with tracer.start_as_current_span("second", kind=trace.SpanKind.PRODUCER, attributes=attributes, links=[link]) as span:
    span.add_event("halfway", {"at": 0.5})
    with tracer.start_as_current_span("third"): pass
"""
    traced.client.post("/predictions", json={"id": "own", "input": {"code": code}})
    invoke = collector.of_prediction("own", "cog.prediction.invoke")
    assert collector.tree(invoke) == {"second": {"third": {}}, "first": {}}
    span = collector.wait_for("second")
    assert (span.kind, span.scope, span.resource["service.name"]) == ("PRODUCER", "mine", "darkroom")
    assert span.attributes == {"text": "é", "many": [1, 2], "large": 2**62, "yes": True}
    assert span.events == [("halfway", {"at": 0.5})]
    assert span.started < collector.wait_for("third").started < span.ended


def test_spans_of_a_process_that_is_killed_end_with_it(traced: Server, collector: Collector) -> None:
    code = """
import asyncio, os
from opentelemetry import trace
with trace.get_tracer("mine").start_as_current_span("killed"):
    print("pid", os.getpid())
    await asyncio.sleep(1000)
"""
    body = {"id": "died", "input": {"code": code}}
    traced.client.put("/predictions/died", json=body, headers={"Prefer": "respond-async"})
    os.kill(int(logs_with(traced, body, "pid ").split()[1]), signal.SIGKILL)
    invoke = collector.of_prediction("died", "cog.prediction.invoke")
    killed = collector.wait_for("killed")
    for ended in (invoke, killed):
        assert (ended.failed, ended.attributes["error.type"]) == (True, "process_ended")
        assert ended.started < ended.ended
    assert killed.parent_id == invoke.span_id
    assert collector.tree(collector.of_prediction("died"))["cog.prediction.execute"] == {
        "cog.prediction.invoke": {"killed": {}}
    }
    traced.wait_for_health()
    first = collector.wait_for("cog.setup")
    # That of the process that took over, in a trace of its own.
    collector.wait_for("cog.setup", lambda span: span.trace_id != first.trace_id)


def test_setting_up_is_a_trace(traced: Server, collector: Collector) -> None:
    setup = collector.wait_for("cog.setup")
    assert (setup.parent_id, setup.failed) == ("", False)
    assert collector.tree(setup) == {"cog.setup.predictor": {"darkroom.import": {}}}


def test_what_clients_give_as_tags_is_told(traced: Server, collector: Collector) -> None:
    tags = {f"trace.n{number:02}": "x" for number in range(30)}
    context = {
        **tags,
        "trace.a": "é" * 100,
        "secret": "s",
        "trace.": "s",
        "trace.sp ace": "s",
        f"trace.{'b' * 65}": "s",
    }
    body = {"id": "tagged", "input": {"code": ""}, "context": context}
    assert traced.client.post("/predictions", json=body).status_code == 200
    attributes = collector.of_prediction("tagged").attributes
    told = {name: value for name, value in attributes.items() if name.startswith("caller.")}
    assert told == {"caller.a": "é" * 64, **{f"caller.n{number:02}": "x" for number in range(15)}}


def test_probes_are_not_traced_and_queries_not_told(traced: Server, collector: Collector) -> None:
    traced.health()
    traced.client.get("/predictions", params={"cursor": "secret"})
    assert collector.wait_for("GET /predictions").attributes["url.query"] == "REDACTED"
    assert not [
        span for span in collector.spans if "health" in span.name or span.attributes.get("url.path") == "/livez"
    ]


def test_log_lines_name_the_span(traced: Server, collector: Collector) -> None:
    traced.client.post("/predictions", json={"id": "logged", "input": {"code": "print('wor' + 'ds')"}})
    prediction = collector.of_prediction("logged")
    named = f"trace_id={prediction.trace_id} span_id={prediction.span_id}"
    for event in ("Prediction started", "Prediction ended"):
        assert any(event in line and named in line for line in traced.lines), event
    assert any("words" in line and f"trace_id={prediction.trace_id}" in line for line in traced.lines)


async def test_files_that_come_and_go_are_spans(serve: Serve, collector: Collector) -> None:
    async with running_peer(answering(body=b"in")) as peer:
        server = serve("copy_files", env=collector.environment, upload_url=f"{peer.url}/kept?key=secret")
        body = {"id": "files", "input": {"files": [f"{peer.url}/secret?{number}" for number in range(2)]}}
        async with client_of(server.url) as client:
            response = await client.post("/predictions", json=body)
            assert response.json()["status"] == "succeeded"
            missing = {"id": "missing", "input": {"files": ["http://127.0.0.1:1/secret"]}}
            assert (await client.post("/predictions", json=missing)).json()["status"] == "failed"
    prediction = collector.of_prediction("files")
    tree = collector.tree(prediction)
    assert tree["cog.prediction.prepare_input"] == {"GET input": {}}
    assert tree["cog.prediction.upload_output"] == {"PUT output": {}}
    ours = [span for span in collector.spans if span.trace_id == prediction.trace_id]
    assert [span.name for span in ours].count("GET input") == 2
    assert [span.name for span in ours].count("PUT output") == 2
    assert all("traceparent" not in request.headers for request in peer.requests)
    assert "secret" not in str(ours)
    failed = collector.of_prediction("missing")
    fetch = collector.wait_for("GET input", lambda span: span.trace_id == failed.trace_id)
    assert (fetch.failed, fetch.attributes["error.type"]) == (True, "ConnectError")
    prepare = collector.wait_for("cog.prediction.prepare_input", lambda span: span.parent_id == failed.span_id)
    assert (prepare.failed, prepare.attributes["error.type"]) == (True, "InputFileError")


def test_variables_are_honoured_prompts_told_where_asked_and_the_rest_exported_at_the_end(serve: Serve) -> None:
    with running_collector() as collector:
        environment = {
            **collector.environment,
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
            "OTEL_SERVICE_NAME": "mine",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        }
        server = serve("run_code", env=environment, log_prompts="true", model_id="owner/name", model_revision="abc")
        server.client.post("/predictions", json={"id": "told", "input": {"code": "raise ValueError('why')"}})
        assert collector.spans == []
        assert server.stop() == 0
        prediction = collector.of_prediction("told")
    assert prediction.attributes["darkroom.input"] == '{"code": "raise ValueError(\'why\')"}'
    assert prediction.description.endswith("ValueError: why")
    assert prediction.resource["service.name"] == "mine"
    assert prediction.resource["deployment.environment.name"] == "test"
    assert prediction.resource["darkroom.model"] == "owner/name@abc"
    assert collector.headers[0]["authorization"] == "Bearer x"
    assert collector.headers[0]["content-encoding"] == "gzip"


def test_a_setup_that_fails(serve: Serve, collector: Collector) -> None:
    environment = {**collector.environment, "OTEL_SERVICE_NAME": "broken"}
    serve("raise_in_setup", env=environment, ready=False).wait_for_health("SETUP_FAILED")
    setup = collector.wait_for("cog.setup", lambda span: span.resource["service.name"] == "broken")
    assert (setup.failed, setup.attributes["error.type"]) == (True, "setup_failed")
    predictor = collector.wait_for("cog.setup.predictor", lambda span: span.parent_id == setup.span_id)
    assert (predictor.failed, predictor.attributes["error.type"]) == (True, "RuntimeError")


def test_a_collector_that_cannot_be_reached_is_one_warning(serve: Serve) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_BSP_SCHEDULE_DELAY": "1",
        "OTEL_BSP_MAX_QUEUE_SIZE": "2",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1",
        "NO_PROXY": "127.0.0.1",
    }
    server = serve("run_code", env=environment)
    for _ in range(10):
        assert server.predict(code="result = 1").json()["status"] == "succeeded"
    assert server.stop() == 0
    [warning] = [line for line in server.lines if "[warning" in line or "[error" in line]
    assert "Traces cannot be exported" in warning
    assert "Connection refused" in warning


def test_what_is_missing_is_said_and_done_without(serve: Serve, collector: Collector, tmp_path: Path) -> None:
    # As where the extra is not installed.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['opentelemetry.sdk'] = None\n")
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    server = serve("run_code", env={**collector.environment, "PYTHONPATH": path, "OTEL_SERVICE_NAME": "missing"})
    traceparent = {"traceparent": TRACEPARENT}
    response = server.client.post("/predictions", json={"input": {"code": "result = 1"}}, headers=traceparent)
    assert response.json()["output"] == 1
    [warning] = [line for line in server.lines if "[warning" in line]
    assert "pip install 'darkroom-server[traces]'" in warning
    assert not [span for span in collector.spans if span.resource["service.name"] == "missing"]


def test_nothing_is_imported_where_nobody_asks() -> None:
    probe = "import sys, server.listener, server.worker.__main__; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not [name for name in modules.stdout.split() if name.startswith(("opentelemetry.sdk", "google.protobuf"))]


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:1"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, False),
        ({"OTEL_SDK_DISABLED": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
    ],
)
async def test_variables_switch_traces_on(environ: dict[str, str], wanted: bool) -> None:
    tracing = open_tracing(environ)
    assert (tracing.provider is not None) is wanted
    await tracing.close(10)


async def test_applications_of_one_process_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_collector() as one, running_collector() as other:
        for collector in (one, other):
            for name, value in collector.environment.items():
                monkeypatch.setenv(name, value)
            tracing = open_tracing()
            with tracing.active(), span(f"of {collector.url}"), Tracing().active(), span("of nobody"):
                pass
            await tracing.close(30)
        for collector in (one, other):
            assert [span.name for span in collector.spans] == [f"of {collector.url}"]
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "carrier-pigeon"}, "'carrier-pigeon', which no installed package offers"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/xml"}, "'http/xml', which no"),
    ],
)
def test_an_exporter_that_is_not_there_is_a_warning(
    environ: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert open_tracing(environ).provider is None
    assert said in caplog.text
