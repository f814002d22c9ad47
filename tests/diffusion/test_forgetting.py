"""What is kept of recordings, with a stand-in for the GPU that makes them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from server.diffusion import recordings as recordings_module
from server.diffusion.gates import Gate, Stage
from server.diffusion.interning import Interned
from server.diffusion.passes import Passes
from server.diffusion.recordings import Recordings
from server.diffusion.rows import Rows, see_rows


class Layers:
    def forward(self, sample: torch.Tensor) -> torch.Tensor:
        return sample


def calls(rows: int) -> Sequence[Rows]:
    seen = see_rows({"sample": torch.zeros(rows, 4)}, Interned())
    assert seen is not None
    return [seen]


def test_a_gate_that_nothing_calls_any_more_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)

    def record(gate: Gate, example: Rows, count: int, pool: Any, compiled: Any) -> Any:
        return SimpleNamespace(gate=gate, example=example, count=count, kind="graph")

    monkeypatch.setattr(recordings_module, "Recording", record)
    recordings = Recordings((1, 2, 4))
    own = Gate("unet", Stage.DENOISE, Layers().forward)
    twin = Gate("unet", Stage.DENOISE, Layers().forward, original=own)
    for gate in (own, twin):
        for rows in (1, 1, 2, 2, 4):
            recordings.find(gate, calls(rows))
        assert recordings.find(gate, calls(1)) is not None
    passes = Passes(torch.device("cpu"), 4, recordings)
    passes.forget_gates([twin])
    gone = weakref.ref(twin)
    del twin, gate
    gc.collect()
    assert gone() is None
    kept = recordings.find(own, calls(2))
    assert kept is not None
    assert kept.gate is own
