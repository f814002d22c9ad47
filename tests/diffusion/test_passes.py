"""Passes: one for several calls, and what is done where that fails."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from server.diffusion.gates import Gate, Stage
from server.diffusion.interning import Interned
from server.diffusion.passes import Call, Outcome, Pass, Passes, Raised, Returned
from server.diffusion.rows import see_rows
from server.diffusion.threadstate import ThreadState


class Model:
    """Doubles what it is given, unless told otherwise, and counts the rows of its passes."""

    def __init__(self, do: Callable[[torch.Tensor], Any] = lambda sample: sample * 2) -> None:
        self.passes: list[int] = []
        self._do = do
        self.gate = Gate("model", Stage.DENOISE, self.forward)

    def forward(self, sample: torch.Tensor, **_: Any) -> Any:
        self.passes.append(len(sample))
        return self._do(sample)

    def call(self, value: float, rows: int = 1, state: ThreadState | None = None, **more: Any) -> Call:
        arguments = {"sample": torch.full((rows, 3), value), **more}
        return Call(self.gate, arguments, see_rows(arguments, Interned()), state or ThreadState())


def passes(most_rows: int = 32) -> Passes:
    return Passes(torch.device("cpu"), most_rows)


def value_of(outcome: Outcome) -> list[float]:
    assert isinstance(outcome, Returned)
    values: list[float] = outcome.value[:, 0].tolist()
    return values


def short() -> RuntimeError:
    return RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")


def test_calls_share_a_pass_and_get_their_own_rows() -> None:
    model = Model()
    outcomes = passes().run([model.call(1), model.call(2, rows=3), model.call(3)])
    assert model.passes == [5]
    assert [value_of(outcome) for outcome in outcomes] == [[2], [4, 4, 4], [6]]


def test_a_lone_call_is_made_with_its_own_arguments() -> None:
    seen: list[torch.Tensor] = []

    def look(sample: torch.Tensor) -> torch.Tensor:
        seen.append(sample)
        return sample

    model = Model(look)
    call = model.call(1, rows=2)
    passes().run([call])
    assert seen[0] is call.arguments["sample"]


def test_each_is_tried_alone_when_a_shared_pass_fails(caplog: pytest.LogCaptureFixture) -> None:
    def refuse_two(sample: torch.Tensor) -> torch.Tensor:
        if (sample == 2).any():
            raise ValueError("two is bad")
        return sample * 2

    model = Model(refuse_two)
    outcomes = passes().run([model.call(value) for value in (1, 2, 3)])
    assert model.passes == [3, 1, 1, 1]
    assert value_of(outcomes[0]) == [2]
    assert value_of(outcomes[2]) == [6]
    assert isinstance(outcomes[1], Raised)
    assert str(outcomes[1].error) == "two is bad"
    assert "ValueError: two is bad" in caplog.text
    # Company is tried again next time: the others did nothing wrong.
    assert passes().most_rows(model.call(1)) == 32


def test_a_pass_that_is_too_large_is_halved_until_it_fits_and_that_is_remembered() -> None:
    def fit_three(sample: torch.Tensor) -> torch.Tensor:
        if len(sample) > 3:
            raise short()
        return sample * 2

    model, made = Model(fit_three), passes()
    outcomes = made.run([model.call(value) for value in range(8)])
    assert [value_of(outcome) for outcome in outcomes] == [[2.0 * value] for value in range(8)]
    assert model.passes == [8, 4, 2, 2, 4, 2, 2]
    assert made.most_rows(model.call(1)) == 2
    # Passes of smaller pictures need less.
    assert made.most_rows(model.call(1, extra=True)) == 32


def test_only_the_call_that_is_too_large_by_itself_fails() -> None:
    def fit_three(sample: torch.Tensor) -> torch.Tensor:
        # The second call is too large row by row, too.
        if len(sample) > 3 or (sample == 2).any():
            raise short()
        return sample * 2

    model = Model(fit_three)
    outcomes = passes().run([model.call(1), model.call(2, rows=4), model.call(3)])
    assert [type(outcome) for outcome in outcomes] == [Returned, Raised, Returned]
    assert value_of(outcomes[2]) == [6]


def test_nothing_of_a_pass_that_was_too_large_is_kept_in_memory() -> None:
    """The error is kept for a while by whoever is told; the activations must not be."""
    activations: list[weakref.ref[torch.Tensor]] = []

    def run_short(sample: torch.Tensor) -> None:
        activation = sample + 1
        activations.append(weakref.ref(activation))
        raise short()

    model = Model(run_short)
    gc.disable()
    try:
        outcomes = passes().run([model.call(1), model.call(2)])
        # Together, each alone, and each once more when memory has been freed.
        assert len(activations) == 5
        assert [reference() for reference in activations] == [None] * 5
    finally:
        gc.enable()
    assert [type(outcome) for outcome in outcomes] == [Raised, Raised]


def test_a_model_without_a_row_for_each_is_asked_by_each_alone_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    model, made = Model(lambda sample: sample.sum()), passes()
    assert made.most_rows(model.call(1)) == 32
    outcomes = made.run([model.call(1), model.call(2)])
    assert [outcome.value.item() for outcome in outcomes if isinstance(outcome, Returned)] == [3, 6]
    assert model.passes == [2, 1, 1]
    assert "cannot share a pass of model" in caplog.text
    assert made.most_rows(model.call(1)) == 0


def test_what_calls_get_can_be_written_to() -> None:
    """As pipelines do; and some models return what they were given."""
    model = Model(lambda sample: sample)
    calls = [model.call(1), model.call(2)]
    first, second = passes().run(calls)
    assert isinstance(first, Returned)
    first.value.zero_()
    assert value_of(second) == [2]
    assert calls[0].arguments["sample"][0, 0] == 1


def test_a_pass_is_made_in_the_state_of_its_calls() -> None:
    seen: list[tuple[bool, bool, bool]] = []

    def look(sample: torch.Tensor) -> torch.Tensor:
        seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")))
        return sample

    model, made = Model(look), passes()
    before = ThreadState()
    for context in (torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16)):
        with context:
            call = model.call(1)
        made.run([call])
        made.run([call, call])
        assert ThreadState() == before
    assert seen == [(False, False, False)] * 2 + [(False, True, False)] * 2 + [(True, False, True)] * 2


def test_calls_join_only_of_one_gate_one_kind_and_one_state() -> None:
    model, twin = Model(), Model()
    call = model.call(1)
    assert call.joins(model.call(2, rows=5))
    assert not call.joins(twin.call(1))
    assert not call.joins(model.call(1, scale=2.0))
    with torch.autocast("cpu", torch.bfloat16):
        assert not call.joins(model.call(1))
    scalar = Call(model.gate, {"sample": 1}, None, call.state)
    assert not scalar.joins(scalar)
    assert (call.count, model.call(1, rows=5).count, scalar.count) == (1, 5, 1)


def test_each_pass_is_told_once_with_what_it_was() -> None:
    model, made = Model(), passes()
    told: list[Pass] = []
    made.on_pass = told.append
    made.run([model.call(1), model.call(2, rows=3)])
    assert not made.in_flight()
    assert not made.in_flight()
    [report] = told
    assert (report.component, report.requests, report.rows, report.padded_rows, report.kind) == (
        "model",
        2,
        4,
        4,
        "eager",
    )
    assert report.seconds >= 0


def test_who_is_told_of_passes_and_fails_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    model, made = Model(), passes()

    def fail(_: Pass) -> None:
        raise ValueError("nobody listens")

    made.on_pass = fail
    made.run([model.call(1)])
    assert not made.in_flight()
    assert "on_pass" in caplog.text
    assert "nobody listens" in caplog.text
