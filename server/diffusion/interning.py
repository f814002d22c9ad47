"""Equal tensors under one identity, so that comparing them again costs nothing."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Hashable

import torch


class Interned:
    """Finds, for a tensor, the one of equal contents that was seen first.

    Looking at the contents of a tensor on a GPU waits for all that was asked of the GPU before. So it is done once for
    each tensor: pipelines hand the same one to their model in every step.

    Args:
        most: how many different ones are remembered; the least recently found is forgotten first.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._originals: OrderedDict[int, torch.Tensor] = OrderedDict()
        self._known: dict[tuple[int, int], tuple[weakref.ref[torch.Tensor], int]] = {}

    def find(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor of the same contents, type and device, which is not to be changed."""
        # A tensor that was written to since has another version.
        name = (id(tensor), tensor._version)
        known = self._known.get(name)
        if known and known[0]() is tensor and (original := self._originals.get(known[1])) is not None:
            self._originals.move_to_end(known[1])
            return original
        original = self._compare(tensor)
        self._known[name] = (weakref.ref(tensor, lambda _: self._known.pop(name, None)), id(original))
        return original

    def _compare(self, tensor: torch.Tensor) -> torch.Tensor:
        for number, original in self._originals.items():
            if _kind(original) == _kind(tensor) and torch.equal(original, tensor):
                self._originals.move_to_end(number)
                return original
        copy = tensor.clone()
        self._originals[id(copy)] = copy
        if len(self._originals) > self._most:
            self._originals.popitem(last=False)
        return copy


def _kind(tensor: torch.Tensor) -> Hashable:
    return tensor.shape, tensor.dtype, tensor.device
