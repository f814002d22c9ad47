"""Equal tensors under one identity, so that comparing them again costs nothing."""

from __future__ import annotations

import itertools
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
        most_bytes: how much memory they may take; a larger one is remembered when no other is. Not all that has no
            batch dimension is as small as positions: HiDream hands on its embeddings layer by layer.
    """

    def __init__(self, most: int = 64, most_bytes: int = 256 << 20) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        # By numbers that are given once: an id is given again when a forgotten one is gone.
        self._numbers = itertools.count()
        self._originals: OrderedDict[int, torch.Tensor] = OrderedDict()
        self._known: dict[tuple[int, int], tuple[weakref.ref[torch.Tensor], int]] = {}

    def find(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor of the same contents, type and device, which is not to be changed."""
        if tensor.is_inference():
            # Nothing tells whether it was written to since.
            return self._originals[self._compare(tensor)]
        # A tensor that was written to since has another version.
        name = (id(tensor), tensor._version)
        known = self._known.get(name)
        if known and known[0]() is tensor and (original := self._originals.get(known[1])) is not None:
            self._originals.move_to_end(known[1])
            return original
        number = self._compare(tensor)
        self._known[name] = (weakref.ref(tensor, lambda _: self._known.pop(name, None)), number)
        return self._originals[number]

    def _compare(self, tensor: torch.Tensor) -> int:
        for number, original in self._originals.items():
            if _kind(original) == _kind(tensor) and torch.equal(original, tensor):
                self._originals.move_to_end(number)
                return number
        number = next(self._numbers)
        with torch.inference_mode(False):
            # Others, who may be outside the inference mode of who comes first, get it too.
            self._originals[number] = tensor.clone()
        self._bytes += tensor.nbytes
        while len(self._originals) > self._most or (self._bytes > self._most_bytes and len(self._originals) > 1):
            _, forgotten = self._originals.popitem(last=False)
            self._bytes -= forgotten.nbytes
        return number


def _kind(tensor: torch.Tensor) -> Hashable:
    return tensor.shape, tensor.dtype, tensor.device
