"""What prompts become for the model, kept for the next request that has the same ones."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from torch.utils._pytree import tree_leaves, tree_map_only
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from server.diffusion import notices
from server.diffusion.gates import made_at_once
from server.diffusion.threadstate import ThreadState

_Pipeline = TypeVar("_Pipeline", bound=DiffusionPipeline)

_DENOISERS = {"unet", "transformer"}
"""The components that have no part in what a prompt becomes."""

_ENCODING = (torch.nn.Module, PreTrainedTokenizerBase, ProcessorMixin)
"""What may have one."""


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

        Where its text encoders have adapters nothing is kept: what those do may change between two requests.
        """
        encode = getattr(pipeline, "encode_prompt", None)
        if encode is None:
            return
        parameters = inspect.signature(encode)

        @functools.wraps(encode)
        def encode_prompt(*args: Any, **kwargs: Any) -> Any:
            given = parameters.bind(*args, **kwargs).arguments
            # As they are now: work may have changed its own copy.
            parts = {name: part for name, part in pipeline.components.items() if name not in _DENOISERS}
            if any(getattr(part, "peft_config", None) for part in parts.values()):
                # Their scale, where one is given, is set in the encoders, which are shared, until they are done.
                with made_at_once() if given.get("lora_scale") is not None else nullcontext():
                    return encode(*args, **kwargs)
            key = _key((type(pipeline), *sorted(given.items())))
            if key is None or not ThreadState().plain:
                return encode(*args, **kwargs)
            return self._find((_setup(pipeline, parts), key), _watched(parts), lambda: encode(*args, **kwargs))

        pipeline.encode_prompt = encode_prompt

    @contextmanager
    def attached(self, pipeline: _Pipeline) -> Iterator[_Pipeline]:
        """As `attach`, until the block ends: else the pipeline, with its models, waits for the garbage collector."""
        self.attach(pipeline)
        try:
            yield pipeline
        finally:
            vars(pipeline).pop("encode_prompt", None)

    def forget(self) -> None:
        """Drop everything: the encoders' weights or the tokenizers' words have changed."""
        self._kept.clear()
        self._bytes = 0

    def _find(self, key: Hashable, watched: Hashable, encode: Callable[[], Any]) -> Any:
        # Which input a text is, as notices tell of it, depends on the others.
        for name in key, (key, watched):
            if known := self._kept.get(name):
                self._kept.move_to_end(name)
                result, said = known
                for notice in said:
                    notices.tell(notice)
                return _copy(result)
        with notices.heard() as said:
            result = encode()
        if all(leaf is None or isinstance(leaf, torch.Tensor) for leaf in tree_leaves(result)):
            self._keep((key, watched) if any(notice.input for notice in said) else key, _copy(result), said)
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


def _setup(pipeline: Any, parts: Mapping[str, Any]) -> Hashable:
    """What a pipeline has that decides what becomes of a prompt, beside its class."""
    shared = [(name, weakref.ref(_original(part))) for name, part in parts.items() if isinstance(part, _ENCODING)]
    settings = {**getattr(pipeline, "config", {}), **vars(pipeline)}
    plain = [
        (name, key) for name, value in sorted(settings.items()) if not name.startswith("_") and (key := _key(value))
    ]
    return (*shared, *plain)


def _watched(parts: Mapping[str, Any]) -> Hashable:
    """The inputs by which `prompts.watch_length` tells what is too long."""
    return next(((part.prompt, part.negative_prompt) for part in parts.values() if hasattr(part, "original")), None)


def _original(part: Any) -> Any:
    return getattr(part, "original", part)


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
