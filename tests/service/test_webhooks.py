from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from server.metrics import Metrics
from server.prediction import Prediction, WebhookEvent
from server.service.client import USER_AGENT, http_client
from server.service.delivery import RETRY_DELAYS, Delivery
from server.service.webhooks import Webhook, Webhooks, usable_url
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
from tests.service.peer import Handler, Peer, Request, answering, response, running_peer


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client() as client:
        yield client


class Told:
    """A prediction whose events are told as the service tells them."""

    def __init__(self, webhook: Webhook) -> None:
        self.prediction = Prediction("a1")
        self.webhook = webhook

    def start(self) -> None:
        self.prediction.start()
        self.webhook.start(self.prediction)

    def event(self, event: PredictionEvent) -> None:
        self.prediction.apply(event)
        self.webhook.notify(self.prediction, event)

    def log(self, text: str) -> None:
        self.event(Log("a1", LogSource.STDOUT, text))

    def succeed(self) -> None:
        self.event(Succeeded("a1", 0.5))


def bodies(peer: Peer) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in peer.requests]


async def test_a_prediction_is_told_as_cog_tells_it(client: httpx.AsyncClient) -> None:
    async with running_peer(answering()) as peer:
        webhooks = Webhooks(client, interval=0)
        told = Told(webhooks.open(f"{peer.url}/hook?x=1"))
        told.start()
        told.event(Metric("a1", "m", 1))
        told.log("l0\n")
        told.event(Output("a1", "c0", 0))
        told.event(Output("a1", "c1", 1))
        told.succeed()
        await webhooks.close(10)
        assert [request.body.decode() for request in peer.requests] == [
            '{"id":"a1","logs":"","metrics":{},"status":"processing"}',
            '{"id":"a1","logs":"l0\\n","metrics":{"m":1},"status":"processing"}',
            '{"id":"a1","logs":"l0\\n","metrics":{"m":1},"output":["c0"],"status":"processing"}',
            '{"id":"a1","logs":"l0\\n","metrics":{"m":1},"output":["c0","c1"],"status":"processing"}',
            '{"id":"a1","logs":"l0\\n","metrics":{"m":1,"predict_time":0.5},"output":["c0","c1"],"status":"succeeded"}',
        ]
        assert {(request.method, request.target) for request in peer.requests} == {("POST", "/hook?x=1")}
        headers = peer.requests[0].headers
        assert headers["content-type"] == "application/json"
        assert headers["user-agent"] == USER_AGENT
        assert "authorization" not in headers


# As Cog 0.23.1 tells what `predict` returns.
@pytest.mark.parametrize(
    ("returned", "told_as"),
    [
        ("x", [["x"]]),
        ({"b": 1}, [[{"b": 1}]]),
        (["a", "b"], [["a"], ["a", "b"]]),
        (None, []),
        ([], []),
    ],
)
async def test_a_returned_value_is_a_list_until_the_end(
    client: httpx.AsyncClient, returned: Any, told_as: list[Any]
) -> None:
    async with running_peer(answering()) as peer:
        webhooks = Webhooks(client, interval=0)
        told = Told(webhooks.open(peer.url))
        told.start()
        told.event(Output("a1", returned))
        told.succeed()
        await webhooks.close(10)
        start, *outputs, end = bodies(peer)
        assert "output" not in start
        assert [body["output"] for body in outputs] == told_as
        assert end["output"] == returned


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (Failed("a1", "ValueError: x", 0.1), {"status": "failed", "error": "ValueError: x"}),
        (Canceled("a1", 0.1), {"status": "canceled"}),
    ],
)
async def test_an_end_that_is_no_success_has_what_there_was(
    client: httpx.AsyncClient, end: PredictionEvent, expected: dict[str, str]
) -> None:
    async with running_peer(answering()) as peer:
        webhooks = Webhooks(client)
        told = Told(webhooks.open(peer.url, [WebhookEvent.COMPLETED]))
        told.start()
        told.log("before\n")
        told.event(Output("a1", "c0", 0))
        told.event(end)
        await webhooks.close(10)
        assert bodies(peer) == [
            {"id": "a1", "logs": "before\n", "metrics": {"predict_time": 0.1}, "output": ["c0"], **expected}
        ]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (None, ["start", "logs", "output", "completed"]),
        ([], []),
        ([WebhookEvent.START], ["start"]),
        ([WebhookEvent.OUTPUT, WebhookEvent.COMPLETED], ["output", "completed"]),
        ([WebhookEvent.LOGS], ["logs"]),
    ],
)
async def test_only_the_chosen_events_are_told(
    client: httpx.AsyncClient, events: list[WebhookEvent] | None, expected: list[str]
) -> None:
    async with running_peer(answering()) as peer:
        webhooks = Webhooks(client, interval=0)
        told = Told(webhooks.open(peer.url, events))
        told.start()
        told.log("line\n")
        told.event(Output("a1", "x"))
        told.succeed()
        await webhooks.close(10)
        assert [_kind(body) for body in bodies(peer)] == expected


def _kind(body: dict[str, Any]) -> str:
    if body["status"] != "processing":
        return "completed"
    return "output" if "output" in body else "logs" if body["logs"] else "start"


async def test_logs_wait_for_the_interval_after_any_webhook_and_outputs_do_not(client: httpx.AsyncClient) -> None:
    async with running_peer(answering()) as peer:
        webhooks = Webhooks(client, interval=3600)
        told = Told(webhooks.open(peer.url))
        told.start()
        told.log("1\n")
        told.event(Output("a1", "c0", 0))
        told.log("2\n")
        told.event(Output("a1", "c1", 1))
        told.log("3\n")
        told.succeed()
        await webhooks.close(10)
        assert [(_kind(body), body["logs"]) for body in bodies(peer)] == [
            ("start", ""),
            ("output", "1\n"),
            ("output", "1\n2\n"),
            ("completed", "1\n2\n3\n"),
        ]


async def test_events_that_are_not_chosen_do_not_hold_logs_back(client: httpx.AsyncClient) -> None:
    async with running_peer(answering()) as peer:
        webhooks = Webhooks(client, interval=3600)
        told = Told(webhooks.open(peer.url, [WebhookEvent.LOGS]))
        told.start()
        told.event(Output("a1", "c0", 0))
        told.log("1\n")
        told.log("2\n")
        told.succeed()
        await webhooks.close(10)
        assert [body["logs"] for body in bodies(peer)] == ["1\n"]


async def test_a_webhook_shows_the_moment_that_it_tells_of(client: httpx.AsyncClient) -> None:
    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.write(response())

    ended = asyncio.Event()
    async with running_peer(slow) as peer:
        webhooks = Webhooks(client, interval=0)
        told = Told(webhooks.open(peer.url))
        told.start()
        await peer.wait_for(1)
        told.event(Metric("a1", "deep.count", 1, MetricMode.INCREMENT))
        told.event(Output("a1", "c0", 0))
        told.event(Metric("a1", "deep.count", 1, MetricMode.INCREMENT))
        told.event(Output("a1", "c1", 1))
        told.succeed()
        ended.set()
        await webhooks.close(10)
        assert [(body["metrics"].get("deep"), body.get("output")) for body in bodies(peer)] == [
            (None, None),
            ({"count": 1}, ["c0"]),
            ({"count": 2}, ["c0", "c1"]),
            ({"count": 2}, ["c0", "c1"]),
        ]


async def test_a_receiver_that_cannot_keep_up_misses_states_but_neither_order_nor_the_end(
    client: httpx.AsyncClient,
) -> None:
    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.write(response())

    ended = asyncio.Event()
    async with running_peer(slow) as peer:
        webhooks = Webhooks(client, interval=0)
        told = Told(webhooks.open(peer.url))
        told.start()
        await peer.wait_for(1)
        for index in range(1000):
            told.event(Output("a1", index, index))
        told.succeed()
        ended.set()
        await webhooks.close(10)
        lengths = [len(body.get("output", [])) for body in bodies(peer)]
        assert lengths == [0, *range(1, 64), 1000, 1000]
        assert bodies(peer)[-1]["status"] == "succeeded"


async def test_a_receiver_that_does_not_answer_is_told_only_the_latest_afterwards(client: httpx.AsyncClient) -> None:
    async def hang_up_once(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(peer.requests) == 1:
            await ended.wait()
            writer.close()
        else:
            writer.write(response())

    ended = asyncio.Event()
    async with running_peer(hang_up_once) as peer:
        webhooks = Webhooks(client)
        told = Told(webhooks.open(peer.url))
        told.start()
        await peer.wait_for(1)
        told.event(Output("a1", "c0", 0))
        told.event(Output("a1", "c1", 1))
        told.succeed()
        ended.set()
        await webhooks.close(10)
        assert [body["status"] for body in bodies(peer)] == ["processing", "succeeded"]


async def test_predictions_do_not_wait_for_each_others_receivers(client: httpx.AsyncClient) -> None:
    async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with running_peer(hang) as dead, running_peer(answering()) as alive:
        webhooks = Webhooks(client)
        for _ in range(150):
            Told(webhooks.open(dead.url)).start()
        await dead.wait_for(150)
        Told(webhooks.open(alive.url)).start()
        await alive.wait_for(1)
        await webhooks.close(0)


async def test_token_and_tracing_are_sent(client: httpx.AsyncClient) -> None:
    async with running_peer(answering()) as peer:
        webhooks = Webhooks(client, token="secret")
        given = {"traceparent": "00-ab-cd-01", "tracestate": "é=1", "x-other": "1", "authorization": "theirs"}
        Told(webhooks.open(peer.url, headers=given)).start()
        await webhooks.close(10)
        headers = peer.requests[0].headers
        assert headers["authorization"] == "Bearer secret"
        assert headers["traceparent"] == "00-ab-cd-01"
        assert headers["tracestate"] == "é=1"
        assert "x-other" not in headers


async def test_text_that_utf8_cannot_hold_is_replaced(client: httpx.AsyncClient) -> None:
    async with running_peer(answering()) as peer:
        webhooks = Webhooks(client, interval=0)
        told = Told(webhooks.open(peer.url, [WebhookEvent.LOGS]))
        told.log("é\ud800\n")
        await webhooks.close(10)
        assert bodies(peer)[0]["logs"] == "é?\n"


def statuses(*answers: str) -> Handler:
    """A handler that gives each answer once, and the last one from then on."""
    left = list(answers)

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if answer == "hang up":
            writer.close()
        else:
            writer.write(response(answer))

    return handler


SHORT_DELAYS = (0.0,) * len(RETRY_DELAYS)


async def _requests_until_given_up(client: httpx.AsyncClient, handler: Handler, event: WebhookEvent) -> list[Request]:
    async with running_peer(handler) as peer:
        webhooks = Webhooks(client, retry_delays=SHORT_DELAYS)
        told = Told(webhooks.open(peer.url, [event]))
        told.start()
        told.succeed()
        await webhooks.close(30)
        return peer.requests


@pytest.mark.parametrize("status", ["429 X", "500 X", "502 X", "503 X", "504 X", "hang up"])
async def test_the_final_webhook_is_tried_again_until_it_is_taken(client: httpx.AsyncClient, status: str) -> None:
    handler = statuses(status, status, status, "200 OK")
    requests = await _requests_until_given_up(client, handler, WebhookEvent.COMPLETED)
    assert len(requests) == 4
    assert len({request.body for request in requests}) == 1


async def test_the_final_webhook_is_given_up_after_twelve_more_attempts(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    requests = await _requests_until_given_up(client, statuses("503 X"), WebhookEvent.COMPLETED)
    assert len(requests) == 13
    assert caplog.messages[-1] == "Webhook given up"
    assert getattr(caplog.records[-1], "attempts", None) == 13


@pytest.mark.parametrize("status", ["400 X", "401 X", "404 X", "408 X", "425 X", "501 X", "599 X", "304 X"])
async def test_a_final_webhook_that_is_refused_is_not_tried_again(client: httpx.AsyncClient, status: str) -> None:
    assert len(await _requests_until_given_up(client, statuses(status), WebhookEvent.COMPLETED)) == 1


@pytest.mark.parametrize("status", ["500 X", "429 X", "hang up"])
async def test_other_webhooks_are_never_tried_again(client: httpx.AsyncClient, status: str) -> None:
    assert len(await _requests_until_given_up(client, statuses(status), WebhookEvent.START)) == 1


def test_the_delays_are_those_of_cog() -> None:
    assert RETRY_DELAYS[:4] == (0.2, 0.4, 0.8, 1.6)
    assert len(RETRY_DELAYS) == 12


async def test_a_receiver_that_is_not_there_is_tried_again(client: httpx.AsyncClient) -> None:
    async with running_peer(answering()) as peer:
        url = peer.url
    webhooks = Webhooks(client, retry_delays=SHORT_DELAYS)
    told = Told(webhooks.open(url, [WebhookEvent.COMPLETED]))
    told.start()
    told.succeed()
    await webhooks.close(30)


async def test_no_more_is_held_for_further_attempts_than_fits_in_memory(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("server.service.delivery._MOST_HELD_BYTES", 10)
    async with running_peer(statuses("503 X")) as peer:
        metrics = Metrics()
        delivery = Delivery(client, metrics, SHORT_DELAYS)
        await delivery.insist(httpx.URL(peer.url), {}, b"12345678901")
        assert len(peer.requests) == 1
        assert "too many others wait" in caplog.text
        await delivery.insist(httpx.URL(peer.url), {}, b"1234567890")
        assert len(peer.requests) == 1 + 13
    assert metrics.registry.get_sample_value("darkroom_webhook_requests_total", {"result": "rejected"}) == 1 + 13
    assert metrics.registry.get_sample_value("darkroom_webhooks_given_up_total") == 2


@pytest.mark.parametrize(
    ("status", "method"),
    [("302 Found", "GET"), ("303 See Other", "GET"), ("307 Temporary Redirect", "POST"), ("308 X", "POST")],
)
async def test_redirects_are_followed_as_cog_does(client: httpx.AsyncClient, status: str, method: str) -> None:
    async def redirect(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(response(status, location="/new") if request.target == "/old" else response())

    async with running_peer(redirect) as peer:
        webhooks = Webhooks(client, token="secret")
        Told(webhooks.open(f"{peer.url}/old")).start()
        await webhooks.close(10)
        old, new = peer.requests
        assert (new.method, new.target) == (method, "/new")
        assert new.body == (old.body if method == "POST" else b"")
        assert new.headers["authorization"] == "Bearer secret"


async def test_an_answer_without_end_is_not_read(client: httpx.AsyncClient) -> None:
    async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(bytes(1 << 16))
            await writer.drain()

    async with running_peer(endless) as peer:
        webhooks = Webhooks(client)
        told = Told(webhooks.open(peer.url, [WebhookEvent.START, WebhookEvent.COMPLETED]))
        told.start()
        told.succeed()
        await peer.wait_for(2)
        await webhooks.close(10)


async def test_what_is_left_at_the_end_of_the_server_is_dropped_and_logged(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_peer(statuses("503 X")) as peer:
        webhooks = Webhooks(client, retry_delays=[3600])
        told = Told(webhooks.open(peer.url, [WebhookEvent.COMPLETED]))
        told.start()
        told.succeed()
        await peer.wait_for(1)
        await asyncio.gather(webhooks.close(0), webhooks.close(0))
    assert caplog.messages.count("Webhooks were not delivered before the server stopped") == 1
    assert len(asyncio.all_tasks()) == 1


async def test_nothing_is_left_to_close(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    await Webhooks(client).close(10)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:5000/hook",
        "https://example.com",
        "HTTP://EXAMPLE.COM/x",
        "http://user:password@example.com/",
        " http://example.com/ ",
        "http://example.com/sp ace?q=é",
    ],
)
def test_usable_urls(url: str) -> None:
    assert usable_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "not a url",
        "//example.com/x",
        "ftp://example.com/",
        "file:///etc/passwd",
        "mailto:x@y",
        "http://",
        "http:///x",
        "http://127.0.0.1:99999/",
        "http://host:port/",
        "http://\0/",
        "http://host/\ud800",
        "http://host/" + "x" * 70_000,
    ],
)
async def test_an_unusable_url_is_ignored(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    assert not usable_url(url)
    webhooks = Webhooks(client)
    told = Told(webhooks.open(url))
    told.start()
    told.succeed()
    await webhooks.close(10)
    # The route tells of it, in the answer and in the log.
    assert caplog.records == []


async def test_without_a_url_nothing_is_sent_or_logged(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    webhooks = Webhooks(client)
    told = Told(webhooks.open(None))
    told.start()
    told.succeed()
    await webhooks.close(10)
    assert caplog.text == ""


async def test_secrets_in_a_url_are_not_logged(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    async with running_peer(answering("404 Not Found")) as peer:
        webhooks = Webhooks(client)
        url = peer.url.replace("//", "//user:password@") + "/secret?token=secret#part"
        Told(webhooks.open(url)).start()
        await webhooks.close(10)
        (record,) = (record for record in caplog.records if record.name.startswith("server"))
        assert record.message == "Webhook was not accepted"
        assert getattr(record, "receiver", None) == f"{peer.url}/..."
        assert getattr(record, "status", None) == 404
