"""There is no GPU where these run: torch's books and the driver are stood in for, with the names that they have."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pynvml
import pytest
import torch

from server.worker.gpu import GpuCollector

GIB = 1 << 30


class Card:
    """What the driver and torch tell of a GPU."""

    def __init__(self, uuid: str, used: int, reserved: int, allocated: int, utilization: int | None) -> None:
        self.uuid = uuid
        self.memory = SimpleNamespace(used=used, total=80 * GIB)
        self.reserved = reserved
        self.allocated = allocated
        self.utilization = utilization


class Driver(ModuleType):
    """The library that asks the driver, which knows these cards."""

    NVMLError = pynvml.NVMLError

    def __init__(self, cards: list[Card]) -> None:
        super().__init__("pynvml")
        self._cards = {f"GPU-{card.uuid}": card for card in cards}
        self.starts = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self.starts += 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Card:  # noqa: N802
        if uuid not in self._cards:
            raise pynvml.NVMLError_NotFound
        return self._cards[uuid]

    def nvmlDeviceGetMemoryInfo(self, card: Card) -> Any:  # noqa: N802
        return card.memory

    def nvmlDeviceGetUtilizationRates(self, card: Card) -> Any:  # noqa: N802
        if card.utilization is None:
            raise pynvml.NVMLError_NotSupported
        return SimpleNamespace(gpu=card.utilization)


def use(monkeypatch: pytest.MonkeyPatch, cards: list[Card], *, initialized: bool = True) -> None:
    """Let torch have these cards."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: initialized)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda index: cards[index].reserved)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda index: cards[index].allocated)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: cards[index])


def told(collector: GpuCollector) -> dict[str, dict[str, float]]:
    """What is told of each GPU, by the middle of the name."""
    values: dict[str, dict[str, float]] = {}
    for family in collector.collect():
        for sample in family.samples:
            values.setdefault(sample.labels["gpu"], {})[sample.name.removeprefix("darkroom_gpu_")] = sample.value
    return values


CARDS = [Card("aa-1", 30 * GIB, 20 * GIB, 10 * GIB, 75), Card("bb-2", 2 * GIB, GIB, GIB, None)]


def test_each_gpu_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, CARDS)
    driver = Driver(CARDS)
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    collector = GpuCollector()
    first = {
        "memory_used_bytes": 30 * GIB,
        "memory_total_bytes": 80 * GIB,
        "memory_reserved_bytes": 20 * GIB,
        "memory_allocated_bytes": 10 * GIB,
        "utilization_ratio": 0.75,
    }
    assert told(collector)["0"] == first
    # Of the other the driver does not tell how busy it is.
    assert told(collector)["1"].keys() == first.keys() - {"utilization_ratio"}
    assert driver.starts == 1


def test_a_gpu_that_the_driver_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, CARDS)
    monkeypatch.setitem(sys.modules, "pynvml", Driver(CARDS[1:]))
    assert told(GpuCollector())["0"] == {"memory_reserved_bytes": 20 * GIB, "memory_allocated_bytes": 10 * GIB}


def test_a_machine_without_the_driver_or_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, CARDS[:1])
    books = {"0": {"memory_reserved_bytes": 20.0 * GIB, "memory_allocated_bytes": 10.0 * GIB}}
    assert told(GpuCollector()) == books
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert told(GpuCollector()) == books


def test_nobody_takes_hold_of_a_gpu_to_tell_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, CARDS, initialized=False)
    assert told(GpuCollector()) == {}


@pytest.mark.parametrize("half", [None, ModuleType("torch"), SimpleNamespace(cuda=ModuleType("torch.cuda"))])
def test_a_torch_that_is_not_there_or_just_being_imported(monkeypatch: pytest.MonkeyPatch, half: Any) -> None:
    monkeypatch.setitem(sys.modules, "torch", half)
    assert told(GpuCollector()) == {}
