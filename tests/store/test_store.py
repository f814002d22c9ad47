from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidRequest
from server.store.store import MOST_IN_LIST, Cursor, Record, weight
from server.worker.messages import Failed, Metric, Output
from tests.store.predictions import apply, ended, log, record, running

PARTS = st.recursive(
    st.none() | st.booleans() | st.integers(-9999, 9999) | st.text("abc ", max_size=30),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text("abc", max_size=6), inner, max_size=6),
)


def test_a_record_does_not_change_with_its_prediction() -> None:
    prediction = apply(running(), Output("p", "a", 0))
    before = record(prediction)
    apply(prediction, Output("p", "b", 1), log("late"), Metric("p", "late", 1))
    assert (before.output, before.metrics, before.logs) == (["a"], {}, "")


def test_the_json_of_one_that_succeeded() -> None:
    prediction = ended(output=None, seed=1)
    assert prediction.started_at is not None
    assert prediction.completed_at is not None
    assert record(prediction).to_dict() == {
        "id": "p",
        "status": "succeeded",
        "input": {"seed": 1},
        "logs": "one\n",
        "metrics": {"m": 1, "predict_time": 0.5},
        "output": None,
        "created_at": prediction.created_at.isoformat(),
        "started_at": prediction.started_at.isoformat(),
        "completed_at": prediction.completed_at.isoformat(),
    }


def test_the_json_of_one_that_failed() -> None:
    state = record(apply(running(), Failed("p", "no", 0.5))).to_dict()
    assert state["error"] == "no"
    assert "output" not in state


def test_what_is_too_large_for_a_list_is_left_out_and_named() -> None:
    whole = record(ended(output=["a" * MOST_IN_LIST], prompt="b"))
    brief = whole.brief()
    assert brief.omitted == {"output"}
    assert brief.has_output
    state = brief.to_dict()
    assert "output" not in state
    assert state["omitted"] == ["output"]
    assert state["input"] == {"prompt": "b"}
    assert whole.output == ["a" * MOST_IN_LIST]


def test_what_is_small_stays_in_a_list() -> None:
    small = record(ended(output="a" * 1000))
    assert small.brief() == small


@given(st.integers(0, 1 << 59), st.booleans())
def test_a_cursor_survives_as_text(number: int, newer: bool) -> None:
    assert Cursor.parse(str(Cursor(number, newer))) == Cursor(number, newer)


@given(st.text() | st.from_regex(r"[no][0-9a-fA-F]*"))
def test_any_text_is_a_cursor_or_a_violation_of_the_request(text: str) -> None:
    with suppress(InvalidRequest):
        assert 0 <= Cursor.parse(text).number < 1 << 63


@pytest.mark.parametrize("text", ["", "o", "x1", "o-1", "o1 ", " o1", "o1\n", "O1", "oG", "o" + "f" * 16, "o\u0661"])
def test_what_was_never_a_cursor(text: str) -> None:
    with pytest.raises(InvalidRequest, match="none of this server") as caught:
        Cursor.parse(text)
    assert caught.value.violations[0].loc == ("query", "cursor")


@given(PARTS)
def test_the_weight_is_about_the_length_of_the_json(value: Any) -> None:
    length = len(json.dumps(value, separators=(",", ":")))
    assert length / 4 - 5 <= weight(value, 1 << 30) <= 4 * length + 5


@pytest.mark.parametrize("value", ["a" * 10_000, ["a"] * 10_000, {"a": ["b" * 10_000]}])
def test_weighing_stops_at_the_limit(value: Any) -> None:
    assert weight(value, 100) > 100


def test_of_very_many_parts_only_some_are_weighed() -> None:
    assert weight(["a" * 7] * 1_000_000, 1 << 40) == pytest.approx(10_000_000, rel=0.1)


def test_records_compare_by_value() -> None:
    prediction = ended()
    assert Record.of(1, prediction, {}) == Record.of(1, prediction, {})
