"""Forward passes: one for several calls, and what is done where that fails."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from server.diffusion.clock import Clock
from server.diffusion.fatal import end_process, is_fatal
from server.diffusion.gates import Gate
from server.diffusion.memory import Memory, is_shortage
from server.diffusion.metrics import count_pass
from server.diffusion.recordings import Recordings
from server.diffusion.rows import NotRows, Rows, join, split
from server.diffusion.shortage import attempts
from server.diffusion.threadstate import ThreadState

_log = logging.getLogger(__name__)

_LEAD_SECONDS = 0.002
"""How long before the end of a pass the next one is asked for, so that the device finds it when it is done."""


@dataclass(frozen=True)
class Call:
    """A call that waits at a gate.

    Attributes:
        gate: which.
        arguments: by name.
        rows: the same as rows; `None` where they are none.
        state: the thread's state in which it was made.
    """

    gate: Gate
    arguments: Mapping[str, Any]
    rows: Rows | None
    state: ThreadState

    @property
    def count(self) -> int:
        """How many rows it has."""
        return self.rows.count if self.rows else 1

    def joins(self, other: Call) -> bool:
        """Whether both may be made in one pass."""
        return (
            self.gate is other.gate
            and self.rows is not None
            and other.rows is not None
            and self.rows.key == other.rows.key
            and self.state == other.state
        )


@dataclass(frozen=True)
class Returned:
    """A call has returned `value`.

    Attributes:
        degraded: what a lack of memory has cost it, a sentence or two; `None` where there was none.
    """

    value: Any
    degraded: str | None = None


@dataclass(frozen=True)
class Raised:
    """A call has raised `error`."""

    error: BaseException


Outcome = Returned | Raised


@dataclass(frozen=True)
class Pass:
    """What is told of each forward pass.

    Attributes:
        component: the name of its gate, such as `unet` or `vae.decode`.
        requests: how many calls shared it.
        rows: how many rows they had.
        padded_rows: how many rows it was made with.
        kind: `eager`, `graph` (replayed from a recording) or `compiled` (replayed, of compiled code).
        started: when the device was asked for it, by `time.perf_counter()`.
        seconds: how long the device took for it.
    """

    component: str
    requests: int
    rows: int
    padded_rows: int
    kind: str
    started: float
    seconds: float


class Passes:
    """Makes the passes on one device. All of it belongs to the thread that owns the device.

    Args:
        device: where the models are.
        most_rows: how many rows a pass may have.
        recordings: replays what it can; `None` where nothing is recorded.
        make_room: called where memory is short, with the component that needs it.
        on_fatal: called with an error after which the device is of no use to this process; it should not return.

    Attributes:
        on_pass: told of each pass once it has been made; what it raises is logged.
    """

    def __init__(
        self,
        device: torch.device,
        most_rows: int,
        recordings: Recordings | None = None,
        *,
        make_room: Callable[[Any], None] | None = None,
        on_fatal: Callable[[BaseException], object] = end_process,
    ) -> None:
        self._make_room = make_room
        self._on_fatal = on_fatal
        self.on_pass: Callable[[Pass], None] | None = None
        self._most_rows = most_rows
        self._recordings = recordings
        self._memory = Memory(device)
        self._clock: Clock[Pass] = Clock(device)
        self._alone: set[Gate] = set()
        # Of passes that are replayed: how long such a one took, and when the last that was asked for should end.
        self._usual_seconds: dict[Hashable, float] = {}
        self._last_seconds = math.inf
        self._due = math.inf

    def most_rows(self, call: Call) -> int:
        """How many rows a pass of calls like this one may have, by count and by memory."""
        if call.rows is None or (call.gate.original or call.gate) in self._alone:
            return 0
        most = call.gate.most_rows(call.rows.first, self._most_rows)
        return self._memory.limit(_kind(call), call.rows.count, most)

    def in_flight(self) -> bool:
        """Whether the device still works on the last pass, and is not about to end it."""
        for made in self._clock.reports():
            # What is left began when this ended.
            self._due = time.perf_counter() + self._last_seconds
            count_pass(made)
            self._tell(made)
        return self._clock.running > 1 or (self._clock.running == 1 and time.perf_counter() < self._due - _LEAD_SECONDS)

    def _tell(self, made: Pass) -> None:
        if self.on_pass:
            try:
                self.on_pass(made)
            except Exception:
                # It belongs to no request, and all of them would end with it.
                _log.exception("What was to be told of a pass of %s (on_pass) has failed.", made.component)

    def run(self, calls: Sequence[Call]) -> list[Outcome]:
        """Make calls that may share a pass, in one if that succeeds; what each of them gets.

        An error in a shared pass is answered by making the calls again: by halves where memory is short, else each by
        itself. So it reaches only the call that it comes from. Where memory is short for one alone, that one is made in
        smaller parts (`server.diffusion.shortage`).
        """
        gate = calls[0].gate
        try:
            with calls[0].state:
                return [Returned(value) for value in self._make(calls)]
        except Exception as error:
            self.check(error)
            if len(calls) == 1 and (gate.stateful or not is_shortage(error)):
                return [Raised(error)]
            # Not the error itself: it holds on to what the failed pass has in memory.
            shortage, no_rows, reason = (
                is_shortage(error),
                isinstance(error, NotRows),
                f"{type(error).__name__}: {error}",
            )
        if shortage and len(calls) == 1:
            return [self._make_smaller(calls[0])]
        if shortage:
            torch.cuda.empty_cache()
            self._memory.shrink(_kind(calls[0]), sum(call.count for call in calls))
            middle = len(calls) // 2
            return self.run(calls[:middle]) + self.run(calls[middle:])
        if no_rows:
            _log.warning("Warning: requests cannot share a pass of %s (%s).", gate.name, reason)
            self._alone.add(gate.original or gate)
        else:
            _log.warning(
                "A pass of %s for %d requests has failed (%s); each is tried alone.", gate.name, len(calls), reason
            )
        return [outcome for call in calls for outcome in self.run([call])]

    def tidy(self) -> float | None:
        """Give back memory, where no pass is wanted; in how many seconds to ask again, if still none is."""
        return self._memory.tidy()

    def forget_gates(self, gates: Collection[Gate]) -> None:
        """Drop what is kept of these gates, which have an original and which nothing calls any more."""
        if self._recordings:
            self._recordings.forget_gates(gates)

    def check(self, error: BaseException) -> None:
        """Look at an error from anywhere: where the device is of no use after it, say so to `on_fatal`."""
        if is_fatal(error):
            self._on_fatal(error)

    def _make_smaller(self, call: Call) -> Outcome:
        """Make a call for which memory was short: in what can be freed, then in ever smaller parts."""
        if self._recordings:
            self._recordings.release()
        if self._make_room:
            self._make_room(call.gate.module)
        again: tuple[str | None, Callable[[], Any]] = (None, lambda: self._make([call])[0])
        failure: Exception = torch.OutOfMemoryError(f"{call.gate.name} needs more memory than there is")
        for degraded, attempt in (again, *attempts(call.gate, call.arguments, call.rows)):
            torch.cuda.empty_cache()
            try:
                with call.state:
                    return Returned(attempt(), degraded)
            except NotRows:
                continue
            except Exception as error:
                self.check(error)
                # Its traceback holds on to what the failed pass has in memory.
                failure = error.with_traceback(None)
                if not is_shortage(error):
                    break
        return Raised(failure)

    def _make(self, calls: Sequence[Call]) -> list[Any]:
        gate, rows = calls[0].gate, [call.rows for call in calls if call.rows]
        count = sum(call.count for call in calls)
        # What is recorded was computed as it is without a request's own casting.
        replayable = self._recordings and rows and calls[0].state.plain and not gate.stateful
        recording = self._recordings.find(gate, rows) if self._recordings and replayable else None
        started, stop = time.perf_counter(), self._clock.start()
        if recording:
            results = recording.replay(rows)
        else:
            with self._memory.measured(_kind(calls[0]), count):
                if len(calls) == 1:
                    # Just as the pipeline asked for it.
                    results = [gate.function(**calls[0].arguments)]
                else:
                    results = split(
                        gate.function(**join(rows)), [call.count for call in rows], lists=bool(rows[0].lists)
                    )
        kind, padded = (recording.kind, recording.count) if recording else ("eager", count)
        usual = (_kind(calls[0]), padded, kind)

        def report(seconds: float) -> Pass:
            if recording:
                self._usual_seconds[usual] = seconds
            return Pass(gate.name, len(calls), count, padded, kind, started, seconds)

        stop(report)
        self._last_seconds = self._usual_seconds.get(usual, math.inf)
        self._due = max(self._due if self._clock.running else 0.0, time.perf_counter()) + self._last_seconds
        return results


def _kind(call: Call) -> Hashable:
    return call.gate.original or call.gate, call.rows.key if call.rows else None
