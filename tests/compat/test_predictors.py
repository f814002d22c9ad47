"""Every predictor of `tests/compat/predictors` under Cog and under Darkroom: the same requests, the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.compat.answer import Answer
from tests.compat.case import Case, load_cases
from tests.compat.host import Host, running_host
from tests.compat.pair import exchange, running_pair

CASES = [case for case in load_cases() if case.requests]

Exchange = tuple[Answer, Answer]
"""What is expected of Darkroom, and what it answered."""

_AT_ONCE = 4


@pytest.fixture(scope="module")
def exchanges(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[list[Exchange]]]]:
    """What became of the requests of each case that is to be tested.

    Several cases at a time: most of it is waiting for servers to start.
    """
    tests = [item for item in request.session.items if isinstance(item, pytest.Function)]
    chosen = [test.callspec.params["case"] for test in tests if "exchanges" in test.fixturenames]
    with running_host() as host, ThreadPoolExecutor(_AT_ONCE) as pool:
        folders = [(case, tmp_path_factory.mktemp(case.name)) for case in CASES if case in chosen]
        yield {case.name: pool.submit(_exchanges, case, folder, host) for case, folder in folders}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(
    ("case", "index"),
    [pytest.param(case, index, id=f"{case.name}-{index}") for case in CASES for index in range(len(case.requests))],
)
def test_the_answers_are_equal(exchanges: dict[str, Future[list[Exchange]]], case: Case, index: int) -> None:
    expected, ours = exchanges[case.name].result()[index]
    assert str(ours) == str(expected)


def test_there_are_as_many_as_promised() -> None:
    assert len(CASES) >= 60
    assert sum(len(case.requests) for case in CASES) >= 200


def _exchanges(case: Case, folder: Path, host: Host) -> list[Exchange]:
    with running_pair(case, folder, host) as pair:
        return [exchange(pair, request, host) for request in case.requests]
