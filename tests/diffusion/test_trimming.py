"""Memory is given back to the system."""

from __future__ import annotations

import platform
from threading import Event
from types import SimpleNamespace

import psutil
import pytest
import torch

from server.diffusion.batching import Rendezvous
from server.diffusion.memory import Memory
from server.diffusion.passes import Passes
from server.diffusion.trimming import Trimmer

MANY = 1000
BYTES = 100_000
"""Of one block: less than glibc ever gives a mapping of its own."""

with_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


@with_glibc
def test_what_was_freed_between_what_is_in_use_is_given_back() -> None:
    blocks = [bytearray(BYTES) for _ in range(MANY)]
    in_use = blocks[9::10]
    before = psutil.Process().memory_info().rss
    del blocks
    assert Trimmer(seconds=0, environ={}).trim() is None
    assert before - psutil.Process().memory_info().rss > MANY * BYTES / 2
    assert len(in_use) == MANY // 10


@with_glibc
def test_it_is_not_given_back_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    trimmer = Trimmer(seconds=5, environ={})
    assert trimmer.trim() == 5
    now = 105.0
    assert trimmer.trim() is None
    now = 109.0
    assert trimmer.trim() == 1


@pytest.mark.parametrize(("environ", "trims"), [({}, [0]), ({"MALLOC_TRIM_THRESHOLD_": "268435456"}, [])])
def test_the_operator_may_have_decided(
    environ: dict[str, str], trims: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(malloc_trim=called.append))
    assert Trimmer(seconds=0, environ=environ).trim() is None
    assert called == trims


def test_a_c_library_that_cannot_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert Trimmer(seconds=0, environ={}).trim() is None


def test_it_follows_passes_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[str] = []
    monkeypatch.setattr(Trimmer, "trim", lambda _: trims.append("trim"))
    with Memory(torch.device("cpu")).measured("kind", 1):
        assert trims == []
    assert trims == ["trim"]


def test_it_follows_the_last_request_when_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    early, trimmed = iter([0.001]), Event()

    def trim(_: Trimmer) -> float | None:
        for seconds in early:
            return seconds
        trimmed.set()
        return None

    monkeypatch.setattr(Trimmer, "trim", trim)
    rendezvous = Rendezvous(Passes(torch.device("cpu"), 1))
    rendezvous.submit(lambda: None).result()
    assert trimmed.wait(30)
    rendezvous.close()


def test_on_a_gpu_the_heap_is_left_alone() -> None:
    assert Memory(torch.device("cuda")).tidy() is None
