"""Twins: copies of a model's layers that share its weights, so that adapters on the copy leave the model as it is."""

from __future__ import annotations

import copy
import types
from typing import Any, TypeVar

import torch
from torch import nn

from server.diffusion.errors import ModelError
from server.diffusion.gates import gate_of, put_gate, remove_gates

_Model = TypeVar("_Model", bound=nn.Module)


def make_twin(model: _Model) -> _Model:
    """A copy of a model with layers, settings and hooks of its own, and without gates. Its weights are the model's.

    What is done to the twin's layers does not reach the model; only writing into a weight in place would.

    Raises:
        ModelError: something that was put on the model, such as a hook of diffusers, would lead from the copy back to
            the model's own layers.
    """
    memo: dict[int, object] = {}
    for module in model.modules():
        # Also those that are neither parameters nor buffers, such as tables of frequencies.
        for value in vars(module).values():
            if isinstance(value, torch.Tensor):
                memo[id(value)] = value
    for tensor in (*model.parameters(), *model.buffers()):
        memo[id(tensor)] = _share(tensor)
    twin = copy.deepcopy(model, memo)
    remove_gates(twin)
    for name, module in twin.named_modules():
        # A function is not copied, so what it refers to is the model's.
        if isinstance(vars(module).get("forward"), types.FunctionType):
            raise ModelError(
                f"A LoRA for single requests is not possible with what was put on the model's {name or 'forward'}: a "
                "hook, such as those of offloading or caching. Load the LoRA in setup, or leave the hook out."
            )
    return twin


def put_twin(pipeline: Any, name: str, twin: nn.Module) -> None:
    """Have a twin take the place of its model in a pipeline, with a gate that shares no pass and is not recorded.

    Args:
        pipeline: one that nobody else uses.
        name: which of its models that is.
        twin: what it gets instead, for what it keeps from one call to the next.
    """
    gate = gate_of(getattr(pipeline, name))
    put_gate(name, twin, gate and (gate.original or gate), stateful=True)
    setattr(pipeline, name, twin)


def is_offloaded(model: nn.Module) -> bool:
    """Whether parts of a model are on the device only while they are at work. It can have no twin."""
    return any(hasattr(module, "_hf_hook") for module in model.modules())


def _share(tensor: torch.Tensor) -> torch.Tensor:
    """The same memory as another parameter, so that the twin's may be assigned to, moved or frozen by itself."""
    if type(tensor) is nn.Parameter and type(tensor.data) is torch.Tensor:
        shared = nn.Parameter(tensor.data, requires_grad=tensor.requires_grad)
        # Libraries mark what they have initialized.
        vars(shared).update(vars(tensor))
        return shared
    # Buffers are replaced, never assigned to; other classes, as those of quantized weights, know more than their data.
    return tensor
