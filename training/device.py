"""Where training runs, and in which precision."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

_START = time.monotonic()


def choose_device() -> torch.device:
    """The GPU where there is one; set up for speed rather than bitwise equality between runs."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda")


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where it is fast. Casts are not cached, as a CUDA graph may not outlive the cache."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16, cache_enabled=False)
    return contextlib.nullcontext()


def move(network: Any, device: torch.device) -> None:
    """Move a network there, its convolutions' weights laid out as they are fastest."""
    network.to(device, memory_format=torch.channels_last)


def report(text: str) -> None:
    """Print what happened, with the seconds since the start."""
    print(f"[{time.monotonic() - _START:6.1f}s] {text}", flush=True)


def record(step: Callable[[], None], state: Callable[[], Iterator[Tensor]]) -> Callable[[], None]:
    """Record one training step as a CUDA graph, so that no time goes into launching its kernels.

    `state` tells every tensor that the step changes, always in the same order, those that the step itself makes (as an
    optimizer does) last. Recording leaves them as they were, and the new ones at zero.
    """
    before = [tensor.detach().clone() for tensor in state()]
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    with torch.no_grad():
        for tensor, was in itertools.zip_longest(state(), before):
            tensor.zero_() if was is None else tensor.copy_(was)
    return graph.replay
