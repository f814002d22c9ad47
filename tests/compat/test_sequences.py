"""What happens over time, under Cog and under Darkroom: webhooks, cancels, repeated requests, full servers."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.compat.answer import Answer
from tests.compat.case import PREDICTORS, Case, load_case
from tests.compat.deviations import Deviation, shows
from tests.compat.host import Host, running_host
from tests.compat.pair import Pair, Peer, running_pair
from tests.compat.play import SCRIPTS, Play

Act = Callable[[Play], list[Any]]
"""Does something with a prediction, and returns what is to be compared."""


class Stage:
    """Both servers with the same script predictor."""

    def __init__(self, pair: Pair, host: Host, script: str) -> None:
        self.pair = pair
        self._host = host
        self._script = script
        self.yields = script != "script_return"

    def on_both(self, act: Act) -> tuple[list[Any], list[Any]]:
        """What an act returns on Cog, and on Darkroom."""
        id = f"play-{next(_numbers)}"
        # Cog's second, for its webhooks may be late: `Play.story`.
        darkroom, cog = (Play(peer, self._host, self._script, id) for peer in (self.pair.darkroom, self.pair.cog))
        ours = act(darkroom)
        return act(cog), ours

    def alike(self, act: Act) -> None:
        """Assert that an act returns the same on both."""
        theirs, ours = self.on_both(act)
        assert list(map(_text, ours)) == list(map(_text, theirs))


_numbers = itertools.count()


def _text(event: Any) -> str:
    return str(event) if isinstance(event, Answer) else json.dumps(event, sort_keys=True)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with running_host() as host:
        yield host


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory, host: Host) -> Iterator[dict[str, Future[Pair]]]:
    """All that this module needs, started at once."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:

        def start(case: Case, folder: Path) -> Pair:
            return stack.enter_context(running_pair(case, folder, host, set_up=case.name != "wait_in_setup"))

        # Read here, because Python 3.11 cannot parse in several threads at once (`AST constructor recursion depth`).
        cases = [load_case(PREDICTORS / f"{name}.py") for name in (*SCRIPTS, "die", "stop", "wait_in_setup")]
        yield {case.name: pool.submit(start, case, tmp_path_factory.mktemp(case.name)) for case in cases}


@pytest.fixture(params=SCRIPTS)
def stage(request: pytest.FixtureRequest, pairs: dict[str, Future[Pair]], host: Host) -> Stage:
    return Stage(pairs[request.param].result(), host, request.param)


# What an asynchronous generator yields, Cog tells at its end only: `Deviation.ASYNC_GENERATORS`.
synchronous = pytest.mark.parametrize("stage", ["script", "script_return"], indirect=True)
asynchronous = pytest.mark.parametrize("stage", ["script_async"], indirect=True)


def test_webhooks_of_a_success(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        started = play.start("say a", "record m", "yield 1", "wait here", "yield 2", events=["start", "output"])
        play.reached("here")
        play.hears_of_output()
        play.let_pass("here")
        return [started, *play.story()]

    stage.alike(act)


@synchronous
def test_webhooks_of_a_failure(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        started = play.start("say a", "record m", "yield 1", "wait here", "fail boom", events=["start", "output"])
        play.reached("here")
        play.hears_of_output()
        play.let_pass("here")
        return [started, *play.story()]

    stage.alike(act)


def test_webhooks_of_an_input_that_cannot_be_fetched(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        return [play.run_with_file("/nothing.txt", events=["start", "completed"]), *play.story()]

    stage.alike(act)


def test_the_stream_of_an_input_that_cannot_be_fetched(stage: Stage) -> None:
    stage.alike(lambda play: [play.run_with_file("/nothing.txt", Accept="text/event-stream")])


def test_webhooks_of_logs(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        play.start("say a", "wait here", "say b", "wait there", "say c", events=["logs"])
        for point, logs in (("here", "a\n"), ("there", "a\nb\n")):
            play.reached(point)
            play.hears_logs(logs)
            # Within half a second of another there is none for logs alone.
            time.sleep(0.6)
            play.let_pass(point)
        return play.story()

    stage.alike(act)


@pytest.mark.parametrize("events", [["completed"], ["start", "completed"], ["completed", "output"]])
def test_filtered_webhooks(stage: Stage, events: list[str]) -> None:
    stage.alike(lambda play: [play.run("say a", "yield 1", events=events), *play.story()])


def test_no_webhooks(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        answer = play.run("say a", "yield 1", events=[])
        # The next one's arrive at the same place.
        return [answer, play.run("yield 2", events=["completed"]), *play.story()]

    stage.alike(act)


def test_headers_of_webhooks(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        tracing = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "tracestate": "a=b,c=d"}
        play.run(events=["completed"], **tracing)
        [webhook] = play.hears(bool)
        names = ("content-type", "traceparent", "tracestate")
        return [webhook.headers.get(name) for name in names]

    stage.alike(act)


@pytest.mark.parametrize("webhook", ["", "nowhere", "ftp://127.0.0.1/x", "http://"])
def test_an_unusable_webhook(stage: Stage, webhook: str) -> None:
    def act(play: Play) -> list[Any]:
        play.peer.wait_until_idle()
        return [play.peer.ask_at_once("POST", "/predictions", {**play.body("yield 1"), "webhook": webhook})]

    stage.alike(act)


@synchronous
@pytest.mark.parametrize("verb", ["wait", "clean"])
def test_a_cancel(stage: Stage, verb: str) -> None:
    def act(play: Play) -> list[Any]:
        started = play.start("say a", "yield 1", f"{verb} here", events=["start", "output"])
        play.reached("here")
        play.hears_of_output()
        return [started, play.cancel(), *play.story()]

    stage.alike(act)


def test_a_cancel_while_a_client_waits(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        with play.waiting("say a", "yield 1", "wait here") as answer:
            play.reached("here")
            return [play.cancel(), answer.result(), play.run("say b")]

    stage.alike(act)


def test_a_cancel_after_the_end(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        play.run("yield 1")
        play.peer.wait_until_idle()
        return [play.cancel()]

    stage.alike(act)


@shows(Deviation.LATE_CANCEL)
def test_a_cancel_that_comes_again(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        play.start("wait here")
        play.reached("here")
        play.cancel()
        play.end()
        play.peer.wait_until_idle()
        again = play.cancel()
        while play.peer.is_cog and again.status != 404:
            # It is idle a moment before it has forgotten what it did.
            again = play.cancel()
        return [again]

    [theirs], [ours] = stage.on_both(act)
    assert (theirs.status, theirs.body) == (404, {})
    assert (ours.status, ours.body) == (200, {})


@synchronous
def test_a_client_that_leaves(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        with play.leaving("say a", "yield 1", "wait here"):
            play.reached("here")
            # What is on its way must have arrived, for a cancel ends it all.
            play.peer.health()
        return play.story()

    stage.alike(act)


@synchronous
def test_the_same_put_again_and_again(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        events = ["logs", "output", "completed"]
        first = play.put("record m", "say a", "yield 1", "wait here", events=events, Prefer="respond-async")
        play.reached("here")
        play.hears(lambda hook: "m" in hook.body["metrics"])
        play.hears_of_output()
        again = play.put("fail another script")
        invalid = play.peer.ask_at_once("PUT", f"/predictions/{play.id}", {"input": {"steps": 3}})
        asynchronous = play.put("say a", Prefer="respond-async")
        play.let_pass("here")
        story = play.story()
        play.peer.wait_until_idle()
        return [first, again, invalid, asynchronous, *story, play.put("yield anew")]

    stage.alike(act)


@synchronous
def test_a_full_server(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        other = replace(play, id=f"{play.id}-other")
        with play.waiting("wait here") as answer:
            play.reached("here")
            busy = [
                play.peer.health(),
                play.peer.ask_at_once("POST", "/predictions", other.body()),
                play.peer.ask_at_once("POST", "/predictions", other.body(), Prefer="respond-async"),
                play.peer.ask_at_once("POST", "/predictions", {"input": {"steps": 3}}),
                other.put(),
                other.cancel(),
            ]
            play.let_pass("here")
            return [*busy, answer.result()]

    stage.alike(act)


@asynchronous
def test_two_at_once(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        other, third = (replace(play, id=f"{play.id}-{name}") for name in ("other", "third"))
        play.start("say a", "wait here", "yield 1")
        play.reached("here")
        half = play.peer.health()
        other.start("say b", "wait here", "yield 2")
        other.reached("here")
        full = [play.peer.health(), play.peer.ask_at_once("POST", "/predictions", third.body())]
        canceled = [other.cancel(), *other.story()]
        play.let_pass("here")
        return [half, *full, *canceled, *play.story()]

    stage.alike(act)


@shows(Deviation.SAME_ID)
@asynchronous
def test_an_id_that_is_in_use(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        play.start("wait here")
        play.reached("here")
        second = play.peer.ask_at_once("POST", "/predictions", play.body("yield 2"))
        play.let_pass("here")
        play.story()
        return [second.status]

    assert stage.on_both(act) == ([200], [409])


@shows(Deviation.ASYNC_GENERATORS)
@asynchronous
@pytest.mark.parametrize("last", ["fail boom", "wait there"])
def test_an_asynchronous_generator_that_does_not_succeed(stage: Stage, last: str) -> None:
    def act(play: Play) -> list[Any]:
        play.start("say a", "yield 1", "wait here", last, events=["output"])
        play.reached("here")
        play.hears_of_output()
        play.let_pass("here")
        if last == "wait there":
            play.reached("there")
            play.cancel()
        return [play.end()]

    [theirs], [ours] = stage.on_both(act)
    assert theirs | {"output": ["1"]} == ours


@shows(Deviation.SWALLOWED_CANCEL)
@synchronous
def test_a_swallowed_cancel(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        play.start("yield 1", "swallow here", "yield 2", events=["output"])
        play.reached("here")
        play.hears_of_output()
        play.cancel()
        return [play.end()]

    [theirs], [ours] = stage.on_both(act)
    assert theirs["output"] == ["1", "2"]
    assert ours.get("output") == (["1"] if stage.yields else None)
    assert theirs | {"output": []} == ours | {"output": []}


@synchronous
def test_a_stream_that_joins(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        play.start("say a", "record m", "yield 1", "wait here", "say b", "yield 2")
        play.reached("here")
        with play.stream() as first, play.stream("yield another") as second:
            play.let_pass("here")
            return [first(), second()]

    stage.alike(act)


@shows(Deviation.LOG_EVENTS)
def test_the_logs_of_a_stream(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        with play.stream("say a", "say b", "say c\nd\n\n", "say e") as rest:
            events = rest().body
        logs = [data for name, data in events if name == "event: log"]
        return ["".join(log["data"] for log in logs), {log["source"] for log in logs} == {"stdout"}, events[-2]]

    stage.alike(act)


@synchronous
def test_a_stream_that_is_canceled(stage: Stage) -> None:
    def act(play: Play) -> list[Any]:
        with play.stream("say a", "yield 1", "clean here", events=["output"]) as events:
            play.reached("here")
            play.hears_of_output()
            return [play.cancel(), events()]

    stage.alike(act)


@shows(Deviation.RUNTIME_LOGS)
def test_the_logs_of_a_setup_that_prints_nothing(pairs: dict[str, Future[Pair]]) -> None:
    pair = pairs["stop"].result()
    theirs, ours = (peer.client.get("/health-check").json()["setup"]["logs"] for peer in (pair.cog, pair.darkroom))
    assert "Spawning worker subprocess" in theirs
    assert ours == ""


def test_a_server_that_is_told_to_stop(pairs: dict[str, Future[Pair]]) -> None:
    def act(peer: Peer) -> list[Any]:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(peer.ask_at_once, "POST", "/predictions", {"input": {}})
            while not (peer.folder / "started").exists():
                time.sleep(0.002)
            stopping = peer.ask_at_once("POST", "/shutdown")
            while peer.listens():
                time.sleep(0.01)
            (peer.folder / "go").touch()
            return [stopping, answer.result()]

    pair = pairs["stop"].result()
    assert list(map(str, act(pair.darkroom))) == list(map(str, act(pair.cog)))


@shows(Deviation.STREAMS)
def test_a_stream_of_what_is_not_marked(pairs: dict[str, Future[Pair]]) -> None:
    pair, request = pairs["die"].result(), {"input": {"die": False}}
    answers = [
        peer.ask_at_once("POST", "/predictions", request, Accept="text/event-stream")
        for peer in (pair.cog, pair.darkroom)
    ]
    assert [answer.status for answer in answers] == [406, 200]
    assert [name for name, _ in answers[1].body] == ["event: start", "event: output", "event: completed", ""]


@shows(Deviation.CRASH_ERRORS, Deviation.CRASH_RECOVERY)
def test_a_worker_that_dies(pairs: dict[str, Future[Pair]]) -> None:
    def act(peer: Peer) -> list[Answer]:
        died = peer.ask_at_once("POST", "/predictions", {"input": {"die": True}})
        peer.wait_until_idle()
        return [died, peer.health(), peer.ask_at_once("POST", "/predictions", {"input": {"die": False}})]

    pair = pairs["die"].result()
    theirs, ours = act(pair.cog), act(pair.darkroom)
    assert theirs[0].body | {"error": ours[0].body["error"]} == ours[0].body
    assert ours[0].body["error"].startswith(f"{theirs[0].body['error']}: its process ended with exit status 3.")
    assert [answer.body["status"] for answer in theirs] == ["failed", "UNHEALTHY", "failed"]
    assert [answer.body["status"] for answer in ours] == ["failed", "READY", "succeeded"]


@shows(Deviation.EARLY_SCHEMA)
def test_a_server_that_is_still_setting_up(pairs: dict[str, Future[Pair]]) -> None:
    def act(peer: Peer) -> list[Answer]:
        asked = [
            peer.health(),
            peer.ask_at_once("POST", "/predictions", {"input": {"text": "a"}}),
            peer.ask_at_once("POST", "/predictions", {"input": {}}),
            peer.ask_at_once("POST", "/predictions", {"input": {}}, Prefer="respond-async"),
            peer.ask_at_once("PUT", "/predictions/a", {"input": {"text": "a"}}),
            peer.ask_at_once("POST", "/predictions/a/cancel"),
        ]
        (peer.folder / "go").touch()
        peer.wait_until_idle()
        return [*asked, peer.health(), peer.ask_at_once("POST", "/predictions", {"input": {"text": "a"}})]

    pair = pairs["wait_in_setup"].result()
    schemas = [peer.ask_at_once("GET", "/openapi.json").status for peer in (pair.cog, pair.darkroom)]
    assert schemas == [503, 200]
    assert list(map(str, act(pair.darkroom))) == list(map(str, act(pair.cog)))
