"""The rendezvous: many runs of unmodified pipelines, which share their forward passes.

Each request is a piece of ordinary code, such as a pipeline's `__call__`, that runs in a greenlet on the one thread
that owns the device. At a gate (`server.diffusion.gates`) it parks. When no request can go on, the calls of one group
are made in one pass, and each request goes on with its part of the result. So a request joins at any step and leaves at
its own last one, whatever the others do.

Who comes next: what prepares before what denoises, for it is short and lets a request join; what decodes in turn with
what denoises, so that neither waits for the whole of the other; and among those, the group of the call that has waited
longest. A call is therefore passed over by each other group at most once.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import nullcontext
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import torch
from greenlet import GreenletExit, getcurrent, greenlet

from server.diffusion import notices
from server.diffusion.gates import Gate, Stage
from server.diffusion.interning import Interned
from server.diffusion.passes import Call, Outcome, Passes, Raised, Returned
from server.diffusion.rows import see_rows
from server.diffusion.spans import Stages
from server.diffusion.threadstate import Randomness, ThreadState
from server.diffusion.warnings import WarningCode

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

_GLANCE_SECONDS = 0.0003
"""How long to look for newcomers before looking again whether the device is done."""


class _Request(greenlet):
    """One run of somebody's code. All but `future` belongs to the device's thread."""

    def __init__(self, rendezvous: Rendezvous, work: Callable[[], Any], seed: int | None) -> None:
        super().__init__(self._run)
        self.future: Future[Any] = Future()
        self.canceled = False
        self.state = ThreadState(gradients=False)
        self.randomness = Randomness(seed) if seed is not None else nullcontext()
        self._rendezvous = rendezvous
        self._work: Callable[[], Any] | None = work
        self._outcome: Outcome | None = None
        # What is logged belongs to who asked.
        self.gr_context = contextvars.copy_context()
        self.stages = Stages()

    def park(self, gate: Gate, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Wait until the rendezvous has made this call, and return its result."""
        return self._rendezvous.park(self, gate, args, kwargs)

    def deliver(self) -> None:
        """Hand over what the work has come to, unless nobody wants it any more."""
        if self._outcome and self.future.set_running_or_notify_cancel():
            match self._outcome:
                case Returned(value):
                    self.future.set_result(value)
                case Raised(error):
                    self.future.set_exception(error)

    def _run(self) -> None:
        # The future and the request hold each other; what the work holds is not to wait for the garbage collector.
        work, self._work = self._work, None
        assert work is not None
        try:
            self._outcome = Returned(work())
            self.stages.end()
        except GreenletExit as canceled:
            self.stages.end(canceled)
        except BaseException as error:
            self._rendezvous.check(error)
            self.stages.end(error)
            self._outcome = Raised(_for_a_future(error))


class Rendezvous:
    """Runs requests together, on a thread of its own. Its methods may be called from any thread.

    Args:
        passes: makes the passes.
        most_requests: how many requests run at once; those beyond wait in the order in which they came.
    """

    def __init__(self, passes: Passes, most_requests: int = 64) -> None:
        self._passes = passes
        self._most_requests = most_requests
        self._interned = Interned()
        # What the thread is told: a request that is new, one that is not wanted any more, or to end.
        self._inbox: SimpleQueue[_Request | None] = SimpleQueue()
        self._known: set[_Request] = set()
        self._waiting: deque[_Request] = deque()
        self._running: set[_Request] = set()
        self._runnable: deque[tuple[_Request, Outcome]] = deque()
        self._parked: dict[_Request, Call] = {}
        self._last_stage = Stage.DENOISE
        self._thread: threading.Thread | None = None
        # Guards `_closed`: nothing is put into the inbox afterwards.
        self._closing = threading.Lock()
        self._closed = False

    def submit(self, work: Callable[[], _T], seed: int | None = None) -> Future[_T]:
        """Run `work` on the device's thread, together with what others submit.

        Canceling the future stops the work at its next gate, if it has begun.

        Args:
            work: runs with gradients off, in a copy of the caller's context.
            seed: what the global random generators begin with, for this work alone; `None` leaves them as they are.

        Raises:
            RuntimeError: this has been closed.
        """
        request = _Request(self, work, seed)
        # The request holds the future, and with it what it has come to.
        known = weakref.ref(request)

        def look(future: Future[Any]) -> None:
            if future.cancelled() and (canceled := known()) is not None:
                self._inbox.put(canceled)

        request.future.add_done_callback(look)
        with self._closing:
            if self._closed:
                raise RuntimeError("The engine has been closed.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="darkroom-device", daemon=True)
                self._thread.start()
            self._inbox.put(request)
        return request.future

    def check(self, error: BaseException) -> None:
        """Look at an error from anywhere: where the device is of no use after it, the process ends."""
        self._passes.check(error)

    def close(self) -> None:
        """Cancel what runs and end the thread. May be called again."""
        with self._closing:
            self._closed = True
        if self._thread and self._thread is not threading.current_thread():
            self._inbox.put(None)
            self._thread.join()

    def park(self, request: _Request, gate: Gate, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Called by a request's code at a gate: the result of the call, once it has been made."""
        request.stages.park(gate)
        arguments = gate.arguments(args, kwargs)
        rows = see_rows(arguments, self._interned, gate.adapters)
        self._parked[request] = Call(gate, arguments, rows, ThreadState())
        hub = request.parent
        assert hub is not None
        outcome: Outcome = hub.switch()
        match outcome:
            case Raised(error):
                raise error
            case Returned(value, degraded):
                if degraded:
                    notices.tell(notices.Notice(degraded, WarningCode.DEGRADED))
                return value

    def _serve(self) -> None:
        torch.set_grad_enabled(False)
        try:
            while not self._closed:
                if self._running or self._waiting:
                    self._receive(block=False)
                else:
                    # The last passes are reported when they have ended.
                    idle = _GLANCE_SECONDS if self._passes.in_flight() else self._passes.tidy()
                    self._receive(block=True, timeout=idle)
                self._admit()
                while self._runnable:
                    self._resume(*self._runnable.popleft())
                if self._parked:
                    self._advance()
        except Exception as error:
            self.check(error)
            raise
        finally:
            self._abandon()

    def _receive(self, block: bool, timeout: float | None = None) -> None:
        """Take in what there is; where `block` is set, wait for the first of it."""
        while True:
            try:
                request = self._inbox.get(block, timeout)
            except Empty:
                return
            block = False
            if request is None:
                return
            if request in self._known:
                self._cancel(request)
            elif not request.future.cancelled():
                self._known.add(request)
                self._waiting.append(request)

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._most_requests:
            request = self._waiting.popleft()
            self._running.add(request)
            self._runnable.append((request, Returned(None)))

    def _cancel(self, request: _Request) -> None:
        request.canceled = True
        if request in self._running:
            if self._parked.pop(request, None):
                self._runnable.append((request, Returned(None)))
        else:
            self._waiting.remove(request)
            self._known.discard(request)

    def _resume(self, request: _Request, outcome: Outcome) -> None:
        with request.state, request.randomness:
            request.parent = getcurrent()
            if request.canceled:
                request.throw(GreenletExit)
            elif request:
                request.switch(outcome)
            else:
                request.switch()
        if request.dead:
            self._running.discard(request)
            self._known.discard(request)
            # Not before the thread is as it was: whoever waits goes on at once.
            request.deliver()

    def _advance(self) -> None:
        """Make the next pass, or look for newcomers while the device is busy with the last one."""
        stage = self._next_stage()
        if stage is Stage.DENOISE and self._passes.in_flight():
            # Deciding late, when the device is about to be free, lets those that come in the meantime join.
            self._receive(block=True, timeout=_GLANCE_SECONDS)
            return
        calls = self._choose(stage)
        for request in calls:
            del self._parked[request]
            request.stages.go(len(calls))
        self._last_stage = stage
        outcomes = self._passes.run(list(calls.values()))
        self._runnable.extend(zip(calls, outcomes, strict=True))

    def _next_stage(self) -> Stage:
        stages = {call.gate.stage for call in self._parked.values()}
        stage = min(stages)
        return max(stages) if stage is Stage.DECODE and self._last_stage is Stage.DECODE else stage

    def _choose(self, stage: Stage) -> dict[_Request, Call]:
        oldest = next(call for call in self._parked.values() if call.gate.stage is stage)
        group: dict[_Request, Call] = {}
        room = self._passes.most_rows(oldest)
        for request, call in self._parked.items():
            if call is oldest or (call.joins(oldest) and call.count <= room):
                group[request] = call
                room -= call.count
        return group

    def _abandon(self) -> None:
        with self._closing:
            self._closed = True
        # Those that came last, too.
        self._receive(block=False)
        for request in [*self._running, *self._waiting]:
            request.future.cancel()
            if request in self._running:
                request.canceled = True
                self._resume(request, Returned(None))


def _for_a_future(error: BaseException) -> BaseException:
    """An error that an event loop can hand to who awaits it. StopIteration is none: they would wait for ever."""
    if not isinstance(error, StopIteration):
        return error
    told = RuntimeError("StopIteration was raised where no iterator is asked for its next item.")
    told.__cause__ = error
    return told
