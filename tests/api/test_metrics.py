from __future__ import annotations

import asyncio
import os
import platform
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from starlette.types import Message

from server import __version__
from server.api.metrics import RequestMetrics
from server.metrics import Metrics
from tests.api.clients import appears, client_of
from tests.conftest import Serve, Server
from tests.scrape import Scrape, openmetrics_families, scrape
from tests.service.peer import Request, response, running_peer

STATES = {"starting", "ready", "defunct", "setup_failed", "stopped"}


@pytest.fixture(scope="module")
def repeat(serve_module: Serve) -> Server:
    return serve_module("repeat_back")


@pytest.fixture(scope="module")
def coded(serve_module: Serve) -> Server:
    return serve_module("run_code_async")


def state(told: Scrape, device: str = "0") -> str:
    """The one state that a worker is in."""
    assert told.label_values("darkroom_worker_state", "state") == STATES
    (state,) = (one for one in STATES if told.value("darkroom_worker_state", device=device, state=one))
    return state


def run(server: Server, code: str) -> None:
    """Run code in the model's process."""
    answer = server.predict(code=code).json()
    assert answer["status"] == "succeeded", answer


def test_the_format_is_the_one_that_is_asked_for(repeat: Server) -> None:
    for accept, content_type in (
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html, */*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
    ):
        response = repeat.client.get("/metrics", headers={"Accept": accept})
        assert (response.status_code, response.headers["Content-Type"]) == (200, content_type)
        assert response.headers["Vary"] == "Accept"
        assert response.text.endswith("# EOF\n") is content_type.startswith("application/openmetrics-text")
    assert openmetrics_families(response.text) >= {"darkroom_predictions"}
    head = repeat.client.head("/metrics")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=abc",
        "application/openmetrics-text; version=99.0.0",
        "text/plain; version",
        "text/plain; version=\u00e9",
        "," * 1000,
    ],
)
def test_a_format_that_does_not_exist_is_not_promised(repeat: Server, accept: str) -> None:
    response = repeat.client.get("/metrics", headers=[(b"accept", accept.encode("latin-1"))])
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("escaping", ["zzz", "\u00e9", "dots", ""])
def test_an_escaping_that_does_not_exist_is_not_promised(repeat: Server, escaping: str) -> None:
    accept = f"text/plain; version=1.0.0; escaping={escaping}"
    response = repeat.client.get("/metrics", headers=[(b"accept", accept.encode("latin-1"))])
    used = "dots" if escaping == "dots" else "underscores"
    assert response.headers["Content-Type"] == f"text/plain; version=1.0.0; charset=utf-8; escaping={used}"


def test_requests_are_told_apart_by_route_and_not_by_path(repeat: Server) -> None:
    def requests() -> dict[tuple[str, str, str], float]:
        families = scrape(repeat).families
        return {
            (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
            for sample in families["darkroom_http_requests"].samples
        }

    before = requests()
    for method, path, body in (
        ("POST", "/predictions", {"input": {"text": "a"}}),
        ("POST", "/predictions", {"input": {"text": 5}}),
        ("PUT", "/predictions/one", {"input": {"text": "a"}}),
        ("PUT", "/predictions/two", {"input": {"text": "a"}}),
        ("POST", "/predictions/one/cancel", None),
        ("PUT", "/predictions", None),
        ("GET", "/predictions?secret=1", None),
        ("GET", "/docs/swagger-ui.css", None),
        ("GET", "/docs/absent.css", None),
        ("GET", "/absent/at/all", None),
        ("GET", "/absent/of/another/name", None),
        ("BREW", "/predictions", None),
        ("STEEP", "/tea", None),
    ):
        repeat.client.request(method, path, json=body)
    after = requests()
    assert {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)} == {
        ("GET", "/metrics", "200"): 1,
        ("POST", "/predictions", "200"): 1,
        ("POST", "/predictions", "422"): 1,
        ("PUT", "/predictions/{id}", "200"): 2,
        ("POST", "/predictions/{id}/cancel", "404"): 1,
        ("PUT", "/predictions", "405"): 1,
        ("GET", "/predictions", "200"): 1,
        ("GET", "/docs/{file}", "200"): 1,
        ("GET", "/docs/{file}", "404"): 1,
        ("GET", "unmatched", "404"): 2,
        ("other", "/predictions", "405"): 1,
        ("other", "unmatched", "404"): 1,
    }
    told = scrape(repeat)
    seconds = "darkroom_http_request_duration_seconds"
    puts = told.value(f"{seconds}_count", method="PUT", route="/predictions/{id}")
    assert puts == told.value(f"{seconds}_bucket", method="PUT", route="/predictions/{id}", le="+Inf") == 2
    assert told.value("darkroom_http_requests_in_flight") == 1


async def test_an_error_of_the_server_s_own_is_a_500() -> None:
    metrics = Metrics()

    async def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    scope = {"type": "http", "method": "GET"}
    with pytest.raises(RuntimeError, match="a bug"):
        await RequestMetrics(broken, metrics)(scope, no_request, no_answer)
    labels = {"method": "GET", "route": "unmatched", "status": "500"}
    assert metrics.registry.get_sample_value("darkroom_http_requests_total", labels) == 1
    assert metrics.registry.get_sample_value("darkroom_http_requests_in_flight") == 0


async def no_request() -> Message:
    raise AssertionError


async def no_answer(_: Message) -> None:
    raise AssertionError


def test_how_predictions_end_is_counted(coded: Server) -> None:
    before = scrape(coded)
    run(coded, "import asyncio; await asyncio.sleep(0)")
    assert coded.predict(code="raise ValueError('no')").json()["status"] == "failed"
    body = {"input": {"code": "import asyncio; await asyncio.Event().wait()"}}
    prediction = coded.client.post("/predictions", json=body, headers={"Prefer": "respond-async"}).json()
    while not scrape(coded).value("darkroom_worker_predictions"):
        pass
    coded.client.post(f"/predictions/{prediction['id']}/cancel")
    ended = {"kind": "prediction", "state": "canceled"}
    while (after := scrape(coded)).value("darkroom_predictions_total", **ended) == 0:
        pass
    for end in ("succeeded", "failed", "canceled"):
        for name in ("darkroom_predictions_total", "darkroom_prediction_duration_seconds_count"):
            labels = {"kind": "prediction", "state": end}
            assert after.value(name, **labels) - before.value(name, **labels) == 1
    assert after.value("darkroom_prediction_queue_wait_seconds_count", kind="prediction") >= 3
    assert after.value("darkroom_predictions_total", kind="training", state="succeeded") == 0


def test_nothing_that_a_client_chose_is_told(repeat: Server) -> None:
    repeat.client.put("/predictions/chosen-id", json={"input": {"text": "chosen words"}})
    text = scrape(repeat).text
    assert "chosen" not in text
    assert f'darkroom_build_info{{python="{platform.python_version()}",version="{__version__}"}} 1.0' in text


async def test_the_queue(serve: Serve, tmp_path: Path) -> None:
    server = serve("wait_for_file", queue_size=5)

    def gauges() -> list[float]:
        told = scrape(server)
        names = ("predictions_in_flight", "predictions_in_flight_limit", "queue_length", "queue_length_limit")
        return [told.value(f"darkroom_{name}") for name in names] + [told.value("darkroom_worker_predictions")]

    assert gauges() == [0, 1, 0, 5, 0]
    for name in ("a", "b", "c"):
        body = {"input": {"folder": str(tmp_path), "name": name}}
        server.client.post("/predictions", json=body, headers={"Prefer": "respond-async"})
    await appears(tmp_path / "a.started")
    # The model's only thread is taken, and it answers.
    assert gauges() == [1, 1, 2, 5, 1]
    assert scrape(server).value("darkroom_worker_metrics_success") == 1
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.go").touch()
    while (told := scrape(server)).value("darkroom_predictions_total", kind="prediction", state="succeeded") < 3:
        pass
    assert gauges() == [0, 1, 0, 5, 0]
    assert told.value("darkroom_prediction_queue_wait_seconds_count", kind="prediction") == 3
    assert told.value("darkroom_prediction_queue_wait_seconds_sum", kind="prediction") > 0


def test_a_model_that_is_not_ready_or_cannot_be(serve: Serve, tmp_path: Path) -> None:
    go = tmp_path / "go"
    server = serve("wait_in_setup", ready=False, env={"GO": str(go)})
    assert state(scrape(server)) == "starting"
    while not (told := scrape(server)).value("darkroom_worker_metrics_success"):
        pass
    assert state(told) == "starting"
    assert told.value("darkroom_worker_process_resident_memory_bytes") > 1e6
    go.touch()
    server.wait_for_health()
    told = scrape(server)
    assert state(told) == "ready"
    assert told.value("darkroom_worker_setups_total", result="succeeded") == 1
    assert told.value("darkroom_worker_setup_duration_seconds") > 0

    server = serve("raise_in_setup", ready=False)
    server.wait_for_health("SETUP_FAILED")
    told = scrape(server)
    assert state(told) == "setup_failed"
    assert told.value("darkroom_worker_setups_total", result="failed") == 1
    assert told.value("darkroom_worker_metrics_success") == 0


def test_a_model_that_dies(serve: Serve, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    server = serve("break_on_file", env={"BROKEN": str(broken)})
    child = server.predict().json()["output"]
    first = scrape(server)
    assert first.value("darkroom_worker_metrics_timestamp_seconds") > 0
    broken.touch()
    os.kill(child, signal.SIGKILL)
    server.wait_for_health("DEFUNCT")
    told = scrape(server)
    assert state(told) == "defunct"
    assert told.value("darkroom_worker_metrics_success") == 0
    # What was told last is told still, and since when.
    assert told.value("darkroom_worker_process_start_time_seconds") > 0
    broken.unlink()
    server.wait_for_health()
    told = scrape(server)
    assert state(told) == "ready"
    assert told.value("darkroom_worker_restarts_total") >= 1
    assert told.value("darkroom_worker_setups_total", result="failed") >= 1
    name = "darkroom_worker_process_start_time_seconds"
    assert told.value(name) > first.value(name)


def test_what_the_model_measures_itself_is_told(coded: Server) -> None:
    run(
        coded,
        "from prometheus_client import Counter, Gauge, Histogram\n"
        "Counter('kitten_pictures_total', 'Pictures of kittens.', ['device']).labels('paw').inc(3)\n"
        "Gauge('kitten_weight_grams', 'How heavy it is.').set(float('nan'))\n"
        "Histogram('kitten_seconds', 'How long.', buckets=[1]).observe(0.5)\n"
        "Gauge('darkroom_queue_length', 'Not ours.').set(7)\n"
        "Gauge('darkroom_predictions_total', 'Not ours either.').set(7)\n",
    )
    told = scrape(coded)
    assert told.value("kitten_pictures_total", device="0", exported_device="paw") == 3
    assert told.families["kitten_pictures"].type == "counter"
    assert told.value("kitten_weight_grams", device="0") != told.value("kitten_weight_grams", device="0")
    assert told.value("kitten_seconds_bucket", device="0", le="1.0") == 1
    assert told.value("darkroom_queue_length") == 0
    assert "Not ours" not in told.text
    scrape(coded)
    complaints = [line for line in coded.lines if "has a name that is taken" in line]
    assert len(complaints) == 2
    assert "metric=darkroom_queue_length" in complaints[0]
    openmetrics = coded.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}).text
    assert "kitten_pictures" in openmetrics_families(openmetrics)


def test_a_measurement_that_fails_or_hangs_costs_nothing_else(coded: Server, tmp_path: Path) -> None:
    run(
        coded,
        "import time, pathlib\n"
        "from prometheus_client import REGISTRY, Gauge\n"
        "class Slow:\n"
        "    def describe(self): return []\n"
        "    def collect(self):\n"
        f"        folder = pathlib.Path({str(tmp_path)!r})\n"
        "        if (folder / 'broken').exists(): raise RuntimeError('no measure')\n"
        "        if (folder / 'ends').exists(): raise SystemExit('no more')\n"
        "        while (folder / 'slow').exists(): time.sleep(0.005)\n"
        "        return []\n"
        "REGISTRY.register(Slow())\n"
        "Gauge('puppy_weight_grams', 'How heavy it is.').set(5)\n",
    )
    assert scrape(coded).value("puppy_weight_grams") == 5
    for how in ("broken", "ends", "slow"):
        (tmp_path / how).touch()
        told = scrape(coded)
        assert told.value("darkroom_worker_metrics_success") == 0
        assert told.value("puppy_weight_grams") == 5
        run(coded, "pass")
        (tmp_path / how).unlink()
        while not scrape(coded).value("darkroom_worker_metrics_success"):
            pass
    log = "".join(coded.lines)
    assert "did not tell its metrics" in log
    assert "RuntimeError: no measure" in log
    assert "SystemExit: no more" in log
    assert "did not answer within 1 s" in log


async def test_what_a_measurement_prints_belongs_to_no_prediction(coded: Server, tmp_path: Path) -> None:
    code = (
        "import asyncio, pathlib\n"
        "from prometheus_client import REGISTRY\n"
        "class Loud:\n"
        "    def describe(self): return []\n"
        "    def collect(self):\n"
        "        print('measured loudly')\n"
        "        return []\n"
        "REGISTRY.register(Loud())\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "(folder / 'started').touch()\n"
        "while not (folder / 'go').exists(): await asyncio.sleep(0.005)\n"
    )
    async with client_of(coded.url) as client:
        asking = asyncio.create_task(client.post("/predictions", json={"input": {"code": code}}))
        await appears(tmp_path / "started")
        assert scrape(coded).value("darkroom_worker_metrics_success") == 1
        (tmp_path / "go").touch()
        answer = (await asking).json()
    assert (answer["status"], answer["logs"]) == ("succeeded", "")
    while not any("measured loudly" in line for line in coded.lines):
        scrape(coded)


def test_each_device_is_told_of(serve: Serve, gpus: dict[str, str], yard: Path) -> None:
    (yard / "1.broken").touch()
    server = serve("obey_on_device", ready=False, devices="all", env={**gpus, "FOLDER": str(yard)})
    server.wait_for_devices("READY", "SETUP_FAILED")
    told = scrape(server)
    assert [state(told, device) for device in ("0", "1")] == ["ready", "setup_failed"]
    assert told.value("darkroom_worker_process_resident_memory_bytes", device="0") > 1e6
    assert told.text.count("# TYPE darkroom_worker_process_resident_memory_bytes ") == 1


async def test_files_and_webhooks_are_counted(serve: Serve) -> None:
    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        refused = request.target.startswith(("/copy-1.", "/lost", "/absent"))
        writer.write(response("404 Not Found" if refused else "200 OK"))

    async with running_peer(answer) as peer, AsyncExitStack() as stack:
        server = serve("copy_files", upload_url=peer.url)
        client = await stack.enter_async_context(client_of(server.url))
        for files, webhook, status in (
            (["data:,seven%20b"], "/told", "succeeded"),
            (["data:,a", "data:,bc"], "/lost", "failed"),
            (["data:,a", f"{peer.url}/absent"], None, "failed"),
        ):
            body = {"input": {"files": files}, "webhook_events_filter": ["completed"]}
            if webhook:
                body["webhook"] = peer.url + webhook
            assert (await client.post("/predictions", json=body)).json()["status"] == status
        told = await asyncio.to_thread(scrape, server)
        while not told.value("darkroom_webhooks_given_up_total"):
            told = await asyncio.to_thread(scrape, server)
    assert [told.value("darkroom_input_files_total", result=result) for result in ("fetched", "failed")] == [3, 1]
    assert told.value("darkroom_input_bytes_total") == 7 + 1 + 2
    assert [told.value("darkroom_output_files_total", result=result) for result in ("published", "failed")] == [1, 2]
    assert told.value("darkroom_output_bytes_total") == 7
    results = ("delivered", "rejected", "unanswered")
    assert [told.value("darkroom_webhook_requests_total", result=result) for result in results] == [1, 1, 0]
