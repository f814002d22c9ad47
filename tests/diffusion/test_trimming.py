"""Memory is given back to the system."""

from __future__ import annotations

import platform

import psutil
import pytest
import torch

from server.diffusion.memory import Memory
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
    assert Trimmer(seconds=0, environ={}).trim()
    assert before - psutil.Process().memory_info().rss > MANY * BYTES / 2
    assert len(in_use) == MANY // 10


@with_glibc
def test_it_is_not_given_back_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    trimmer = Trimmer(seconds=5, environ={})
    assert not trimmer.trim()
    now = 105.0
    assert trimmer.trim()
    now = 109.0
    assert not trimmer.trim()


def test_the_operator_may_have_decided() -> None:
    assert not Trimmer(seconds=0, environ={"MALLOC_TRIM_THRESHOLD_": "268435456"}).trim()


def test_a_c_library_that_cannot_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not Trimmer(seconds=0, environ={}).trim()


def test_it_follows_passes_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[str] = []
    monkeypatch.setattr(Trimmer, "trim", lambda _: trims.append("trim"))
    with Memory(torch.device("cpu")).measured("kind", 1):
        assert trims == []
    assert trims == ["trim"]
