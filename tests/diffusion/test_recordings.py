"""Passes recorded as CUDA graphs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DynamicCache

from server.diffusion import Engine, Pass
from server.diffusion.gates import Gate, Stage
from server.diffusion.interning import Interned
from server.diffusion.passes import Call, Passes, Returned
from server.diffusion.recordings import LADDER, Recordings, rungs
from server.diffusion.rows import Rows, see_rows
from server.diffusion.threadstate import ThreadState
from tests.diffusion.test_batching import text_to_image


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    """As torch multiplies unless an engine of another test has it keep fewer digits."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("most", "expected"),
    [(1, (1,)), (2, (1, 2)), (5, (1, 2, 3, 4, 6)), (6, (1, 2, 3, 4, 6)), (32, LADDER[:-1]), (100, LADDER)],
)
def test_the_ladder_reaches_as_far_as_passes_are_large(most: int, expected: tuple[int, ...]) -> None:
    assert rungs(most) == expected


def test_little_is_computed_for_nothing() -> None:
    """Of the rows of a pass that is padded up, at most a third are padding."""
    for rows in range(1, LADDER[-1] + 1):
        padded = next(count for count in LADDER if count >= rows)
        assert (padded - rows) / padded <= 1 / 3


class Model:
    """Small layers on the GPU, and whatever `do` makes of their result."""

    def __init__(self, do: Callable[[torch.Tensor], Any] = lambda hidden: hidden, stage: Stage = Stage.DENOISE) -> None:
        torch.manual_seed(0)
        self._layers = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.SiLU(), torch.nn.Linear(64, 8)).cuda()
        self._do = do
        self.gate = Gate("model", stage, self.forward)
        self._interned = Interned()

    def forward(self, sample: torch.Tensor, timestep: Any = None, img_ids: Any = None, **_: Any) -> Any:
        hidden = self._layers(sample)
        for more in (timestep.view(-1, 1) if timestep is not None else None, img_ids):
            hidden = hidden if more is None else hidden + more
        return self._do(hidden)

    def rows(self, seed: int, count: int = 1, **more: Any) -> Rows:
        generator = torch.Generator().manual_seed(seed)
        sample = torch.randn(count, 8, generator=generator).cuda()
        rows = see_rows({"sample": sample, **more}, self._interned)
        assert rows is not None
        return rows

    def call(self, seed: int, count: int = 1, **more: Any) -> Call:
        rows = self.rows(seed, count, **more)
        return Call(self.gate, rows.given, rows, ThreadState())


@pytest.fixture(autouse=True)
def without_gradients() -> Any:
    with torch.no_grad():
        yield


def recorded(model: Model, recordings: Recordings, calls: list[Rows]) -> Any:
    """The recording for a pass of these calls, which is made when it comes up the second time."""
    recordings.find(model.gate, calls)
    recording = recordings.find(model.gate, calls)
    assert recording is not None
    return recording


@pytest.mark.gpu
def test_a_recorded_pass_gives_what_the_eager_one_gives() -> None:
    model, recordings = Model(), Recordings(rungs(8))
    first = [model.rows(1, 2, timestep=torch.tensor(3).cuda()), model.rows(2, timestep=torch.tensor(900.5).cuda())]
    assert recordings.find(model.gate, first) is None
    recording = recordings.find(model.gate, first)
    assert recording is not None
    assert (recording.kind, recording.count) == ("graph", 3)
    for seed in range(3):
        calls = [
            model.rows(seed, 2, timestep=torch.tensor(seed).cuda()),
            model.rows(seed + 9, timestep=torch.tensor(7.0).cuda()),
        ]
        assert recordings.find(model.gate, calls) is recording
        for got, call in zip(recording.replay(calls), calls, strict=True):
            torch.testing.assert_close(got, model.forward(**call.given), rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
def test_padding_up_does_not_leak() -> None:
    """What an earlier pass has left in the rows that nobody asked for reaches nobody."""
    model, recordings = Model(), Recordings(rungs(8))
    recording = recorded(model, recordings, [model.rows(1, 4)])
    poisoned = see_rows({"sample": torch.full((4, 8), torch.nan).cuda()}, Interned())
    assert poisoned is not None
    recording.replay([poisoned])
    calls = [model.rows(5), model.rows(6, 2)]
    [one, other] = recording.replay(calls)
    assert (len(one), len(other)) == (1, 2)
    torch.testing.assert_close(one, model.forward(**calls[0].given), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(other, model.forward(**calls[1].given), rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
def test_results_outlive_the_next_replay() -> None:
    model, recordings = Model(), Recordings(rungs(8))
    recording = recorded(model, recordings, [model.rows(1)])
    [first] = recording.replay([model.rows(2)])
    kept = first.clone()
    recording.replay([model.rows(3)])
    assert torch.equal(first, kept)


@pytest.mark.gpu
def test_lists_of_batches_are_padded_as_batches() -> None:
    """As of a ControlNet: as many residuals as there may be rows."""
    model = Model(lambda hidden: ([hidden * layer for layer in range(5)], hidden))
    recordings = Recordings((1, 4, 6))
    calls = [model.rows(1), model.rows(2, 2)]
    recording = recorded(model, recordings, calls)
    assert recording.count == 4
    for (residuals, middle), call in zip(recording.replay(calls), calls, strict=True):
        expected, hidden = model.forward(**call.given)
        assert len(residuals) == 5
        torch.testing.assert_close([*residuals, middle], [*expected, hidden], rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
def test_each_kind_and_number_of_rows_is_recorded_by_itself() -> None:
    model, recordings = Model(), Recordings(rungs(8))
    zeros, ones = torch.zeros(8).cuda(), torch.ones(8).cuda()
    found = [
        recorded(model, recordings, [model.rows(1, img_ids=zeros)]),
        recorded(model, recordings, [model.rows(1, img_ids=ones)]),
        recorded(model, recordings, [model.rows(1, 2, img_ids=ones)]),
        recorded(model, recordings, [model.rows(1, 5, img_ids=ones)]),
    ]
    assert len(set(map(id, found))) == 4
    assert [recording.count for recording in found] == [1, 1, 2, 6]
    for recording, positions in zip(found[:2], (zeros, ones), strict=True):
        call = model.rows(4, img_ids=positions)
        torch.testing.assert_close(recording.replay([call])[0], model.forward(**call.given), rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
def test_what_does_not_repeat_is_not_recorded() -> None:
    model, recordings = Model(), Recordings(rungs(8))
    for more in ({"generator": torch.Generator()}, {"captions": [torch.zeros(3, 8)]}):
        for _ in range(3):
            assert recordings.find(model.gate, [model.rows(1, **more)]) is None
    # More rows than the ladder has.
    for _ in range(3):
        assert recordings.find(model.gate, [model.rows(1, 9)]) is None


@pytest.mark.gpu
def test_what_cannot_be_recorded_runs_as_it_is_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(hidden: torch.Tensor) -> torch.Tensor:
        if torch.cuda.is_current_stream_capturing():
            raise ValueError("not while recording")
        return hidden

    model, recordings = Model(refuse), Recordings(rungs(8))
    for _ in range(4):
        assert recordings.find(model.gate, [model.rows(1)]) is None
    assert caplog.text.count("model cannot be recorded (ValueError: not while recording)") == 1
    passes = Passes(torch.device("cuda"), 8, recordings)
    [outcome] = passes.run([model.call(1)])
    assert isinstance(outcome, Returned)


@pytest.mark.gpu
def test_what_returns_no_rows_is_not_recorded(caplog: pytest.LogCaptureFixture) -> None:
    model, recordings = Model(lambda hidden: {"hidden": hidden, "more": DynamicCache()}), Recordings(rungs(8))
    passes = Passes(torch.device("cuda"), 8, recordings)
    for _ in range(3):
        [outcome] = passes.run([model.call(1)])
        assert isinstance(outcome, Returned)
    assert "model cannot be recorded (NotRows: DynamicCache cannot be split into rows)" in caplog.text


@pytest.mark.gpu
def test_everything_is_recorded_beforehand_for_the_stages_that_are_named() -> None:
    model, other, recordings = Model(), Model(stage=Stage.PREPARE), Recordings(rungs(4))
    recordings.find(model.gate, [model.rows(1, 2)])
    recordings.find(other.gate, [other.rows(1)])
    recordings.complete(Stage.DENOISE)
    # A call has two rows, so that no pass has three.
    for count in (2, 4):
        assert recordings.find(model.gate, [model.rows(1, count)]) is not None
    assert {gate for gate, _, _ in recordings._recordings} == {model.gate}


@pytest.mark.gpu
def test_forgetting_drops_everything() -> None:
    model, recordings = Model(), Recordings(rungs(8))
    calls = [model.rows(1)]
    recorded(model, recordings, calls)
    with torch.no_grad():
        model._layers[0].weight.data = torch.randn(64, 8).cuda()
    recordings.forget()
    assert recordings.find(model.gate, calls) is None
    recording = recordings.find(model.gate, calls)
    assert recording is not None
    torch.testing.assert_close(recording.replay(calls)[0], model.forward(**calls[0].given), rtol=1e-5, atol=1e-5)
    recordings.forget()
    del recording, calls
    gc.collect()
    assert not recordings._examples
    assert not recordings._recordings


@pytest.mark.gpu
def test_whoever_comes_first_may_be_in_inference_mode() -> None:
    """Nobody else can write to tensors that were made in it, not even to the memory of a recording."""
    model, recordings = Model(), Recordings(rungs(8))
    made = Passes(torch.device("cuda"), 8, recordings)
    with torch.inference_mode():
        inferring = model.call(1)
    for _ in range(3):
        made.run([inferring])
    plain = model.call(2)
    [outcome] = made.run([plain])
    assert isinstance(outcome, Returned)
    torch.testing.assert_close(outcome.value, model.forward(**plain.arguments), rtol=1e-5, atol=1e-5)
    outcome.value.add_(1)


@pytest.mark.gpu
def test_passes_that_cast_are_neither_recorded_nor_replayed() -> None:
    model, recordings = Model(), Recordings(rungs(8))
    made = Passes(torch.device("cuda"), 8, recordings)
    kinds: list[str] = []
    made.on_pass = lambda report: kinds.append(report.kind)
    with torch.autocast("cuda", torch.float16):
        casting = model.call(1)
    plain = model.call(1)
    for call in (casting, casting, casting, plain, plain, casting):
        [outcome] = made.run([call])
        assert isinstance(outcome, Returned)
        assert outcome.value.dtype is (torch.float16 if call is casting else torch.float32)
    torch.cuda.synchronize()
    made.in_flight()
    assert kinds == ["eager"] * 4 + ["graph", "eager"]


def noise_ratio(one: np.ndarray, other: np.ndarray) -> float:
    """The peak signal-to-noise ratio in decibels, of pixels from 0 to 1."""
    return float(-10 * np.log10(max(np.square(one - other).mean(), 1e-12)))


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["stable-diffusion", "stable-diffusion-3", "flux"])
async def test_pictures_from_recordings_are_those_made_step_by_step(name: str, tiny: Callable[[str], Path]) -> None:
    engine = Engine(str(tiny(name)), compile="off")
    kinds: set[str] = set()

    def note(made: Pass) -> None:
        kinds.add(made.kind)

    try:
        work = text_to_image(name, 1, 6)
        step_by_step = Engine(str(tiny(name)), compile="off")
        step_by_step._passes._recordings = None
        expected = await step_by_step.call(work, seed=1)
        step_by_step.close()
        await engine.call(work, seed=1)
        engine.on_pass = note
        assert noise_ratio(await engine.call(work, seed=1), expected) >= 40
        await engine.call(lambda _: None)
    finally:
        engine.close()
    assert "graph" in kinds
