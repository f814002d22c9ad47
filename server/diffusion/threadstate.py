"""What torch keeps for a thread, kept for each request that shares it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

_AUTOCAST_DEVICES = ("cpu", "cuda")


def _autocast() -> tuple[tuple[bool, torch.dtype], ...]:
    return tuple((torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in _AUTOCAST_DEVICES)


@dataclass
class ThreadState:
    """Whether gradients are recorded, and types are cast automatically, in the thread that made it.

    Contexts such as `torch.no_grad()` set both at their ends; where several requests are within one at the same time,
    each would undo what another has set.
    """

    gradients: bool = field(default_factory=torch.is_grad_enabled)
    autocast: tuple[tuple[bool, torch.dtype], ...] = field(default_factory=_autocast)

    def __enter__(self) -> None:
        """Make this the thread's state; what becomes of it within is kept for the next time."""
        self._outer = ThreadState()
        self._set()

    def __exit__(self, *_: object) -> None:
        self.gradients, self.autocast = torch.is_grad_enabled(), _autocast()
        self._outer._set()

    def _set(self) -> None:
        torch.set_grad_enabled(self.gradients)
        for kind, (enabled, dtype) in zip(_AUTOCAST_DEVICES, self.autocast, strict=True):
            if torch.is_autocast_enabled(kind) != enabled:
                torch.set_autocast_enabled(kind, enabled)
            if torch.get_autocast_dtype(kind) != dtype:
                torch.set_autocast_dtype(kind, dtype)


class Randomness:
    """The global random generators as one request sees them: some schedulers draw from them, whatever they are given.

    Args:
        seed: what they begin with.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._states: list[torch.Tensor] | None = None

    def __enter__(self) -> None:
        """Make the generators this request's own, until the context ends."""
        self._outer = _states()
        if self._states is None:
            torch.manual_seed(self._seed)
        else:
            _restore(self._states)

    def __exit__(self, *_: object) -> None:
        self._states = _states()
        _restore(self._outer)


def _states() -> list[torch.Tensor]:
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states.append(torch.cuda.get_rng_state())
    return states


def _restore(states: list[torch.Tensor]) -> None:
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state)
