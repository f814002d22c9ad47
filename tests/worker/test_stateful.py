"""Anything, in any order: every prediction ends once, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from server.errors import WorkerNotReady
from server.worker.backend import Backend, WorkerState
from server.worker.dispatch import Dispatcher
from server.worker.fleet import Fleet
from server.worker.messages import Failed, Log, Output, Predict, PredictionEvent, Succeeded, TerminalEvent
from server.worker.worker import Worker
from tests.conftest import PREDICTORS
from tests.worker.conftest import wait_until_empty

CODES = {
    "run_code": {
        "returns": "print('line'); result = {number}",
        "raises": "raise ValueError({number})",
        "sleeps": "import time; print('line'); time.sleep(1000)",
        "swallows": "import time\ntry: time.sleep(1000)\nexcept BaseException: result = 1",
        "never ends": "import time\nwhile True:\n    try: time.sleep(1000)\n    except BaseException: pass",
        "crashes": "import os; print('line'); os._exit(1)",
    },
    "run_code_async": {
        "returns": "import asyncio; print('line'); await asyncio.sleep(0); result = {number}",
        "raises": "import asyncio; await asyncio.sleep(0); raise ValueError({number})",
        "sleeps": "import asyncio; print('line'); await asyncio.sleep(1000)",
        "swallows": "import asyncio\ntry: await asyncio.sleep(1000)\nexcept BaseException: result = 1",
        "never ends": "import asyncio\nwhile True:\n    try: await asyncio.sleep(1000)\n    except BaseException: pass",
        "crashes": "import os; print('line'); os._exit(1)",
    },
}

ENDS: dict[str, tuple[type, ...]] = {
    "returns": (Succeeded,),
    "raises": (Failed,),
    "sleeps": (),
    "swallows": (),
    "never ends": (),
    "crashes": (Failed,),
}
"""How each may end by itself. Any may be canceled, and fail because another has ended the process."""


class BackendMachine(RuleBasedStateMachine):
    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.mkdtemp()
        self.groups: set[int] = set()
        self.tasks: dict[str, asyncio.Task[list[PredictionEvent]]] = {}
        self.kinds: dict[str, tuple[str, int]] = {}
        self.number = 0

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    @initialize(predictor=st.sampled_from(sorted(CODES)), is_fleet=st.booleans())
    def start(self, predictor: str, is_fleet: bool) -> None:
        def create(device: str | None = None, dispatcher: Dispatcher | None = None) -> Worker:
            reference = f"{predictor}.py:Predictor"
            return Worker(reference, PREDICTORS, environment={}, cancel_grace=0.1, device=device, dispatcher=dispatcher)

        self.predictor = predictor
        self.backend: Backend = Fleet(["0", "1"], create) if is_fleet else create()
        self.do(self.backend.start())
        self.do(self._settle())

    @rule(target=runs, kind=st.sampled_from(sorted(ENDS)))
    def run(self, kind: str) -> str:
        self.number += 1
        id_ = f"p{self.number}"
        self.kinds[id_] = (kind, self.number)
        self.do(self._begin(id_, CODES[self.predictor][kind].format(number=self.number)))
        return id_

    @rule(id_=runs)
    def cancel(self, id_: str) -> None:
        async def cancel() -> None:
            self.backend.cancel(id_)

        self.do(cancel())

    @rule(id_=runs)
    def close(self, id_: str) -> None:
        async def close() -> None:
            self.tasks[id_].cancel()
            await asyncio.wait([self.tasks[id_]])

        self.do(close())

    @rule(milliseconds=st.integers(0, 30))
    def wait(self, milliseconds: int) -> None:
        self.do(asyncio.sleep(milliseconds / 1000))

    @rule(number=st.sampled_from([signal.SIGKILL, signal.SIGINT, signal.SIGUSR1]), which=st.sampled_from([0, -1]))
    def send_signal(self, number: signal.Signals, which: int) -> None:
        worker = self.backend.workers[which]
        if worker.state is WorkerState.READY and worker.pid:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, number)

    @rule()
    def settle(self) -> None:
        self.do(self._settle())

    @rule(grace=st.sampled_from([0, 0.05]))
    def stop(self, grace: float) -> None:
        self.do(self.backend.stop(grace))

    def teardown(self) -> None:
        if hasattr(self, "backend"):
            self.do(self._end())
        self.runner.close()
        shutil.rmtree(self.folder)
        assert [wait_until_empty(group) for group in self.groups] == [[]] * len(self.groups)

    async def _settle(self) -> None:
        await asyncio.wait_for(self.backend.settled(), 30)
        self._remember()

    async def _begin(self, id_: str, code: str) -> None:
        async def collect() -> list[PredictionEvent]:
            events = []
            try:
                async for event in self.backend.run(Predict(id_, {"code": code}, self.folder)):
                    events.append(event)  # noqa: PERF401 - a test looks at them before the end
            except WorkerNotReady:
                return []
            return events

        self._remember()
        self.tasks[id_] = asyncio.create_task(collect())
        await asyncio.sleep(0)

    def _remember(self) -> None:
        self.groups.update(worker.pid for worker in self.backend.workers if worker.pid)

    async def _end(self) -> None:
        self._remember()
        for id_ in self.tasks:
            self.backend.cancel(id_)
        if self.tasks:
            _, pending = await asyncio.wait(self.tasks.values(), timeout=30)
            assert not pending
        self._remember()
        await asyncio.wait_for(self.backend.stop(0), 30)
        assert self.backend.state is WorkerState.STOPPED
        assert not any(worker.pid for worker in self.backend.workers)
        for id_, task in self.tasks.items():
            if not task.cancelled():
                self._check(id_, task.result())

    def _check(self, id_: str, events: list[PredictionEvent]) -> None:
        if not events:  # it was refused
            return
        kind, number = self.kinds[id_]
        *others, last = events
        assert {event.id for event in events} == {id_}
        assert isinstance(last, TerminalEvent)
        assert not any(isinstance(event, TerminalEvent) for event in others)
        assert {event.text for event in others if isinstance(event, Log)} <= {"line\n", "line"}
        if isinstance(last, Succeeded):
            assert Succeeded in ENDS[kind]
            assert [event.value for event in others if isinstance(event, Output)] == [number]
        if isinstance(last, Failed):
            by_itself = last.error == f"Prediction failed: Prediction failed: ValueError: {number}" or (
                last.error == f"Prediction failed: Async prediction failed: ValueError: {number}"
            )
            assert by_itself == (kind == "raises") or last.error.startswith(("Worker crashed: ", "The server was stop"))


TestAnythingInAnyOrder = BackendMachine.TestCase
TestAnythingInAnyOrder.settings = settings(
    max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
