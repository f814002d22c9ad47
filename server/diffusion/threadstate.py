"""What torch keeps for a thread, kept for each request that shares it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

import torch

_AUTOCAST_DEVICES = ("cpu", "cuda")


def _autocast() -> tuple[tuple[bool, torch.dtype], ...]:
    return tuple((torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in _AUTOCAST_DEVICES)


@dataclass
class ThreadState:
    """How gradients are recorded, and types cast automatically, in the thread that made it.

    Contexts such as `torch.no_grad()` set this at their ends; where several requests are within one at the same time,
    each would undo what another has set.
    """

    gradients: bool = field(default_factory=torch.is_grad_enabled)
    inference: bool = field(default_factory=torch.is_inference_mode_enabled)
    autocast: tuple[tuple[bool, torch.dtype], ...] = field(default_factory=_autocast)
    # torch has the inference mode only as a context. One that is on when this is entered or left is covered by another.
    _within: ExitStack = field(init=False, repr=False, compare=False, default_factory=ExitStack)
    _without: ExitStack = field(init=False, repr=False, compare=False, default_factory=ExitStack)

    @property
    def plain(self) -> bool:
        """Whether what is computed in it is what is computed in the state that a request begins with."""
        return not self.gradients and not any(enabled for enabled, _ in self.autocast)

    def __enter__(self) -> None:
        """Make this the thread's state; what becomes of it within is kept for the next time."""
        self._outer = ThreadState()
        self._without.close()
        _cover(self._within, self.inference)
        self._set()

    def __exit__(self, *_: object) -> None:
        self.gradients, self.autocast = torch.is_grad_enabled(), _autocast()
        self.inference = torch.is_inference_mode_enabled()
        self._within.close()
        _cover(self._without, self._outer.inference)
        self._outer._set()

    def _set(self) -> None:
        torch.set_grad_enabled(self.gradients)
        for kind, (enabled, dtype) in zip(_AUTOCAST_DEVICES, self.autocast, strict=True):
            if torch.is_autocast_enabled(kind) != enabled:
                torch.set_autocast_enabled(kind, enabled)
            if torch.get_autocast_dtype(kind) != dtype:
                torch.set_autocast_dtype(kind, dtype)


def _cover(modes: ExitStack, inference: bool) -> None:
    if torch.is_inference_mode_enabled() != inference:
        modes.enter_context(torch.inference_mode(inference))


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
