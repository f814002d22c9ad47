"""Forward passes recorded as CUDA graphs, for the GPU to repeat without the CPU.

A pass of a large model is hundreds of kernels; launching each costs the CPU some microseconds, in sum often more than
the GPU needs for the work. A recording is launched as one. It repeats the same work on the same memory, so there is
one for each kind of call and each number of rows; a pass of another number takes the next larger one.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from server.diffusion.compiler import Compiler
from server.diffusion.gates import Gate, Stage
from server.diffusion.memory import is_shortage
from server.diffusion.rows import Rows, buffers, possible_counts, split

_log = logging.getLogger(__name__)

LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
"""The numbers of rows that passes are recorded for."""

_MOST = 96
"""How many recordings are kept; the least recently used goes first."""


class Recording:
    """A pass of `count` rows of a kind, recorded.

    Args:
        gate: whose calls they are.
        example: one of them.
        count: how many rows the pass has.
        pool: the memory that all recordings share: one is replayed after the other.
        compiled: what is recorded in place of the gate's own function.

    Attributes:
        kind: `graph`, or `compiled`.
    """

    def __init__(
        self, gate: Gate, example: Rows, count: int, pool: Any, compiled: Callable[..., Any] | None = None
    ) -> None:
        self.gate = gate
        # Also keeps alive what the kind's key knows by its identity.
        self.example = example
        self.count = count
        self.kind = "compiled" if compiled else "graph"
        function = compiled or gate.function
        self._buffers = buffers(example, count)
        arguments = example.fill(self._buffers, [], count)
        warm = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        warm.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(warm):
            # Libraries choose their kernels, and allocate what they need, on the first call. What it returns has to be
            # rows: a replay that cannot be shared out has no one left to answer for it.
            split(function(**arguments), [count], count)
        torch.cuda.current_stream().wait_stream(warm)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self._result = function(**arguments)

    def replay(self, calls: Sequence[Rows]) -> list[Any]:
        """What each call gets; they are of the kind, and have `count` rows in all at most."""
        counts = [call.count for call in calls]
        used = sum(counts)
        for buffer, parts in zip(self._buffers, zip(*(call.tensors for call in calls), strict=True), strict=True):
            torch.cat(parts, out=buffer[:used])
        self._graph.replay()
        [result] = split(self._result, [used], self.count)
        # The next replay writes over the memory of this one.
        return split(tree_map_only(torch.Tensor, torch.clone, result), counts)


def rungs(most_rows: int) -> tuple[int, ...]:
    """The steps of the ladder up to, and with, the first that has room for so many rows."""
    return tuple(count for index, count in enumerate(LADDER) if not index or LADDER[index - 1] < most_rows)


class Recordings:
    """Records each kind of pass when it comes up the second time.

    Args:
        counts: the numbers of rows that are recorded, in ascending order.
        compiler: compiles what is called often; `None` leaves the code as it is.
    """

    def __init__(self, counts: Sequence[int], compiler: Compiler | None = None) -> None:
        self._counts = counts
        self._compiler = compiler
        self._pool = torch.cuda.graph_pool_handle()
        self._seen: set[tuple[Gate, Hashable, int]] = set()
        self._refused: set[tuple[Gate, Hashable]] = set()
        self._examples: dict[tuple[Gate, Hashable], Rows] = {}
        self._recordings: OrderedDict[tuple[Gate, Hashable, int], Recording] = OrderedDict()

    def find(self, gate: Gate, calls: Sequence[Rows]) -> Recording | None:
        """A recording for a pass of these calls, made now if it is time; `None` where the pass is to be made anew."""
        example, count = calls[0], self._rung(sum(call.count for call in calls))
        kind = (gate, example.key)
        if count is None or not example.lasting or example.lists or kind in self._refused:
            return None
        self._examples.setdefault(kind, example)
        compiled = self._compiler.find(gate, example, count) if self._compiler else None
        name = (*kind, count)
        recording = self._recordings.get(name)
        if recording and (recording.kind == "compiled" or not compiled):
            self._recordings.move_to_end(name)
            return recording
        if name not in self._seen:
            self._seen.add(name)
            return None
        return self._record(gate, example, count, compiled)

    def complete(self, *stages: Stage) -> None:
        """Record every number of rows that passes of the kinds seen so far, in these parts of the work, can have."""
        for (gate, _), example in self._examples.items():
            if gate.stage not in stages:
                continue
            most = gate.most_rows(example.first, self._counts[-1])
            for count in possible_counts(self._counts, example.count, most):
                compiled = self._compiler.find(gate, example, count) if self._compiler else None
                recording = self._recordings.get((gate, example.key, count))
                if recording is None or (compiled and recording.kind != "compiled"):
                    self._record(gate, example, count, compiled)
        torch.cuda.empty_cache()

    def forget(self) -> None:
        """Drop everything: the weights or the layers have changed."""
        self._recordings.clear()
        self._seen.clear()
        self._refused.clear()
        self._examples.clear()
        if self._compiler:
            self._compiler.forget()

    def forget_gates(self, gates: Collection[Gate]) -> None:
        """Drop what belongs to these gates, which nothing calls any more. They are of those that are not compiled."""
        self._seen = {name for name in self._seen if name[0] not in gates}
        self._refused = {kind for kind in self._refused if kind[0] not in gates}
        self._examples = {kind: example for kind, example in self._examples.items() if kind[0] not in gates}
        for name in [name for name in self._recordings if name[0] in gates]:
            del self._recordings[name]

    def release(self) -> None:
        """Give back the memory that recordings hold; they are made anew as they come up."""
        self._recordings.clear()

    def _rung(self, rows: int) -> int | None:
        return next((count for count in self._counts if count >= rows), None)

    def _record(self, gate: Gate, example: Rows, count: int, compiled: Callable[..., Any] | None) -> Recording | None:
        name = (gate, example.key, count)
        self._recordings.pop(name, None)
        try:
            with torch.inference_mode(False), torch.no_grad():
                # Whoever comes first may be in the inference mode, which later ones cannot write to the memory of.
                recording = Recording(gate, example, count, self._pool, compiled)
        except Exception as error:
            if is_shortage(error):
                self._recordings.clear()
                torch.cuda.empty_cache()
            self._refused.add((gate, example.key))
            _log.warning(
                "Warning: %s cannot be recorded (%s: %s); it runs step by step, which is slower.",
                gate.name,
                type(error).__name__,
                str(error).partition("\n")[0],
            )
            return None
        self._recordings[name] = recording
        if len(self._recordings) > _MOST:
            self._recordings.popitem(last=False)
        return recording
