"""What happens to trainings over time, under Cog and under Darkroom."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.compat.answer import Answer, answer_of
from tests.compat.case import PREDICTORS, load_case
from tests.compat.host import Host, running_host
from tests.compat.pair import Pair, running_pair
from tests.compat.play import Play

OnBoth = Callable[[Callable[[Play], list[Any]]], None]

_numbers = itertools.count()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pair, Host]]:
    case = load_case(PREDICTORS / "script_train.py")
    with running_host() as host, running_pair(case, tmp_path_factory.mktemp(case.name), host) as pair:
        yield pair, host


@pytest.fixture
def alike(stage: tuple[Pair, Host]) -> OnBoth:
    """Assert that an act returns the same on both."""
    pair, host = stage

    def on_both(act: Callable[[Play], list[Any]]) -> None:
        id = f"train-{next(_numbers)}"
        ours, theirs = (act(Play(peer, host, "script_return", id)) for peer in (pair.darkroom, pair.cog))
        assert list(map(_text, ours)) == list(map(_text, theirs))

    return on_both


def _text(event: Any) -> str:
    return str(event) if isinstance(event, Answer) else json.dumps(event, sort_keys=True)


def start(play: Play, *steps: str, events: tuple[str, ...] = ("start", "output", "completed")) -> Answer:
    """Have a script followed while the test goes on, with a webhook."""
    body = play.body(*steps, events=[*events])
    headers = {"Prefer": "respond-async"}
    return answer_of(play.peer.ask("POST", "/trainings", json=body, headers=headers), play.peer.folder)


def test_webhooks_of_a_success(alike: OnBoth) -> None:
    alike(lambda play: [start(play, "say a", "record m", "yield 1", "yield 2"), *play.story()])


def test_webhooks_of_a_failure(alike: OnBoth) -> None:
    alike(lambda play: [start(play, "say a", "record m", "fail boom"), *play.story()])


@pytest.mark.parametrize("path", ["/trainings", "/predictions"])
def test_a_cancel_by_either_path(path: str, alike: OnBoth) -> None:
    def act(play: Play) -> list[Any]:
        started = start(play, "say a", "record m", "wait here")
        play.reached("here")
        canceled = play.peer.ask_at_once("POST", f"{path}/{play.id}/cancel")
        return [started, canceled, *play.story()]

    alike(act)


@pytest.mark.parametrize("path", ["/trainings", "/predictions"])
def test_a_repeated_request_by_either_path(path: str, alike: OnBoth) -> None:
    def act(play: Play) -> list[Any]:
        start(play, "record m", "say a", "wait here", events=("logs", "completed"))
        play.reached("here")
        play.hears(lambda hook: "m" in hook.body["metrics"])
        answers = [play.peer.ask_at_once("PUT", f"{path}/{play.id}", body) for body in ({}, {"id": "other"})]
        play.let_pass("here")
        return [*answers, *play.story()]

    alike(act)


@pytest.mark.parametrize("path", ["/trainings", "/predictions"])
def test_a_busy_server(path: str, alike: OnBoth) -> None:
    def act(play: Play) -> list[Any]:
        start(play, "wait here")
        play.reached("here")
        body = {"input": {"name": "x", "steps": []}}
        answers = [play.peer.health().body["status"], play.peer.ask_at_once("POST", path, body)]
        play.let_pass("here")
        return [*answers, *play.story()]

    alike(act)
