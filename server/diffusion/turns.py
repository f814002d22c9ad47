"""Models of a pipeline that work on a device by turns, where it is too small for all of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from accelerate.hooks import ModelHook  # type: ignore[import-untyped]
from accelerate.utils import send_to_device  # type: ignore[import-untyped]
from torch.utils._python_dispatch import is_traceable_wrapper_subclass


class Turns:
    """Keeps the models that work on a device, and the others on the CPU. For one thread.

    Stock model offload (`enable_model_cpu_offload`) moves models in the order in which one request needs them, and
    puts its hooks on anew at the end of each; beside other requests, which are elsewhere in theirs, neither works.

    Args:
        device: where they work.
        room: how many bytes of weights may be there at once; one model may always.
    """

    def __init__(self, device: torch.device, room: int) -> None:
        self.device = device
        self._room = room
        # The least recently used first, each with its bytes.
        self._present: OrderedDict[Any, int] = OrderedDict()

    @property
    def present(self) -> list[Any]:
        """The models on the device, the least recently used first."""
        return list(self._present)

    def bring(self, module: Any) -> None:
        """Have a model on the device, and take off as many others as that needs."""
        if module in self._present:
            self._present.move_to_end(module)
            return
        size = bytes_of(module)
        while self._present and sum(self._present.values()) + size > self._room:
            self._take_off(next(iter(self._present)))
        if not _fits(module, self.device):
            self.leave_alone(module)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            if not _fits(module, self.device):
                raise torch.OutOfMemoryError(f"{type(module).__name__} alone does not fit onto {self.device}")
        self._present[module] = size

    def leave_alone(self, module: Any) -> None:
        """Take all others off the device."""
        for other in self.present:
            if other is not module:
                self._take_off(other)

    def _take_off(self, module: Any) -> None:
        move(module, torch.device("cpu"))
        del self._present[module]


class Turn(ModelHook):  # type: ignore[misc]
    """Brings a model before it is called. Pipelines look for `execution_device`, to know where they work."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.execution_device = turns.device

    def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        self._turns.bring(module)
        # A pipeline may have asked the model where it is, before it was brought.
        return send_to_device(args, self.execution_device), send_to_device(kwargs, self.execution_device)


def move(module: Any, device: torch.device) -> None:
    """Bring a model onto a device, whatever it has in the place of its own `to`."""
    # Not `module.to`: that one keeps models in their place while requests run (`gates.put_gates`).
    type(module).to(module, device)


def bytes_of(module: torch.nn.Module) -> int:
    """How much memory the weights of a model take."""
    return sum(part.nbytes for tensor in (*module.parameters(), *module.buffers()) for part in _parts(tensor))


def _fits(module: Any, device: torch.device) -> bool:
    """Bring a model onto a device; where it does not fit, it is on the CPU afterwards."""
    try:
        move(module, device)
    except torch.OutOfMemoryError:
        pass
    else:
        return True
    move(module, torch.device("cpu"))
    return False


def _parts(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """What is in memory of a tensor: of a quantized one the small numbers and their scales."""
    if not is_traceable_wrapper_subclass(tensor):
        yield tensor
        return
    for name in tensor.__tensor_flatten__()[0]:
        yield from _parts(getattr(tensor, name))
