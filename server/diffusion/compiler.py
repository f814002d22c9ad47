"""Compiles models in the background, while they go on serving as they are."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from server.diffusion.errors import first_line
from server.diffusion.gates import Gate, Stage
from server.diffusion.rows import Rows, buffers, possible_counts

_log = logging.getLogger(__name__)


class CompileMode(StrEnum):
    """Whether models are compiled."""

    OFF = "off"
    BACKGROUND = "background"
    """From the first picture on; until then, and for sizes that are new, they run as they are."""
    WAIT = "wait"
    """Before the first picture, for the model's own size; for others as in the background."""


_SWITCH_SECONDS = 0.00001
"""How long the compiler may keep the interpreter while others wait for it. A forward pass asks for it at each of its
thousands of operations; at Python's usual 5 ms each, pictures would take minutes while something is compiled."""

_WORTH_IT = 200
"""After how many passes a kind of call is compiled that is not the first of its gate, which is compiled at once."""


class Compiler:
    """Compiles what denoises, one kind of call after the other, on a thread of its own.

    Args:
        cache: the folder in which compiled code is kept for the next start; `None` is torch's own temporary one.
        counts: for which numbers of rows it is made ready.
    """

    def __init__(self, cache: Path | None, counts: Sequence[int]) -> None:
        if cache:
            os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache))
            os.environ.setdefault("TRITON_CACHE_DIR", str(cache / "triton"))
        self._counts = counts
        self._functions: dict[Gate, Callable[..., Any]] = {}
        self._passes: Counter[Hashable] = Counter()
        self._ready: dict[Hashable, set[int]] = {}
        self._jobs: SimpleQueue[tuple[Gate, Rows]] = SimpleQueue()
        self._done = threading.Condition()
        self._open = 0
        self._free = threading.Event()
        self._free.set()
        threading.Thread(target=self._serve, name="darkroom-compile", daemon=True).start()

    def find(self, gate: Gate, example: Rows, count: int) -> Callable[..., Any] | None:
        """The compiled method for calls like the example in passes of `count` rows; `None` as long as there is none.

        Asking often is what gets it compiled.
        """
        if gate.stage is not Stage.DENOISE or gate.original:
            return None
        kind = (gate, example.key)
        if kind not in self._ready:
            self._passes[kind] += 1
            if gate not in self._functions or self._passes[kind] >= _WORTH_IT:
                self._request(gate, example)
            return None
        return self._functions[gate] if count in self._ready[kind] else None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Begin with nothing until the context ends, so that all that goes on meanwhile has the interpreter."""
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def wait(self) -> None:
        """Wait until everything that was asked for so far is compiled."""
        with self._done:
            self._done.wait_for(lambda: self._open == 0)

    def forget(self) -> None:
        """Drop what is compiled: the layers have changed."""
        self.wait()
        self._functions.clear()
        self._passes.clear()
        self._ready.clear()

    def _request(self, gate: Gate, example: Rows) -> None:
        self._ready[gate, example.key] = set()
        self._functions.setdefault(gate, torch.compile(gate.function))
        with self._done:
            self._open += 1
        self._jobs.put((gate, example))

    def _serve(self) -> None:
        torch.set_grad_enabled(False)
        # Each number of rows that code cannot be shared with counts as one more.
        torch._dynamo.config.recompile_limit = 64
        while True:
            gate, example = self._jobs.get()
            self._free.wait()
            usual = sys.getswitchinterval()
            sys.setswitchinterval(_SWITCH_SECONDS)
            try:
                self._compile(gate, example)
            except Exception as error:
                reason = f"{type(error).__name__}: {first_line(error)}"
                _log.warning("Warning: %s cannot be compiled (%s); it goes on as it is, slower.", gate.name, reason)
            finally:
                sys.setswitchinterval(usual)
                with self._done:
                    self._open -= 1
                    self._done.notify_all()

    def _compile(self, gate: Gate, example: Rows) -> None:
        started = time.monotonic()
        function, ready = self._functions[gate], self._ready[gate, example.key]
        # Beginning with more rows than one, so that the code is made for any number of them.
        counts = sorted(
            possible_counts(self._counts, example.count, self._counts[-1]), key=lambda count: (count == 1, count)
        )
        with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
            for count in counts:
                tensors = buffers(example, count)
                if count > 1:
                    for tensor in tensors:
                        torch._dynamo.maybe_mark_dynamic(tensor, 0)
                function(**example.fill(tensors, [], count))
                torch.cuda.current_stream().synchronize()
                ready.add(count)
        # What it needed beside the models was in memory that nobody else uses.
        torch.cuda.empty_cache()
        _log.info("%s is compiled (%.0f s).", gate.name, time.monotonic() - started)
