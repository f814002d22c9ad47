"""What prompts become for the model, kept for the next request that has the same ones."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from torch.utils._pytree import tree_leaves, tree_map_only

from server.diffusion import notices

_DENOISERS = {"unet", "transformer"}
"""The components that have no part in what a prompt becomes."""


class Embeddings:
    """Remembers the results of a pipeline's `encode_prompt`: tokenizing and text encoders are skipped for known ones.

    Args:
        most_bytes: how much is kept, on the device; what was not used for longest goes first.
    """

    def __init__(self, most_bytes: int = 256 << 20) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        # With what the libraries had to say, such as that a prompt was cut short.
        self._kept: OrderedDict[Hashable, tuple[Any, list[notices.Notice]]] = OrderedDict()

    def attach(self, pipeline: DiffusionPipeline) -> None:
        """Let a pipeline, which belongs to one request, find its embeddings here.

        One whose text encoders have adapters goes without: what they do may change between two requests.
        """
        encode = getattr(pipeline, "encode_prompt", None)
        if encode is None or any(
            getattr(part, "peft_config", None) for name, part in pipeline.components.items() if name not in _DENOISERS
        ):
            return
        parameters = inspect.signature(encode)
        # Another pipeline of the same class may have other encoders.
        models = tuple(
            weakref.ref(part)
            for name, part in pipeline.components.items()
            if isinstance(part, torch.nn.Module) and name not in _DENOISERS
        )

        @functools.wraps(encode)
        def encode_prompt(*args: Any, **kwargs: Any) -> Any:
            key = _key((type(pipeline), *sorted(parameters.bind(*args, **kwargs).arguments.items())))
            if key is None:
                return encode(*args, **kwargs)
            return self._find((models, key), lambda: encode(*args, **kwargs))

        pipeline.encode_prompt = encode_prompt

    def forget(self) -> None:
        """Drop everything: the encoders' weights or the tokenizers' words have changed."""
        self._kept.clear()
        self._bytes = 0

    def _find(self, key: Hashable, encode: Callable[[], Any]) -> Any:
        if known := self._kept.get(key):
            self._kept.move_to_end(key)
            result, said = known
            for notice in said:
                notices.tell(notice)
            return _copy(result)
        with notices.heard() as said:
            result = encode()
        if all(leaf is None or isinstance(leaf, torch.Tensor) for leaf in tree_leaves(result)):
            self._keep(key, _copy(result), said)
        return result

    def _keep(self, key: Hashable, result: Any, said: list[notices.Notice]) -> None:
        # Two requests may have asked for the same at the same time.
        if key in self._kept:
            return
        self._kept[key] = result, said
        self._bytes += _size(result)
        while self._bytes > self._most_bytes:
            _, (oldest, _) = self._kept.popitem(last=False)
            self._bytes -= _size(oldest)


def _key(value: Any) -> Hashable | None:
    """The arguments as a key; `None` where there is something among them that cannot be told by its value."""
    match value:
        case None | bool() | int() | float() | str() | torch.dtype() | torch.device() | type():
            return (type(value), value)
        case list() | tuple():
            parts = tuple(map(_key, value))
            return None if None in parts else (type(value), *parts)
    return None


def _copy(result: Any) -> Any:
    # Pipelines may write to what they get.
    return tree_map_only(torch.Tensor, torch.clone, result)


def _size(result: Any) -> int:
    return sum(leaf.nbytes for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor))
