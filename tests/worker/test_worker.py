"""The life of a worker: start, failures, restarts, stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvloop

from server.errors import WorkerError, WorkerNotReady
from server.worker.backend import WorkerState
from server.worker.messages import Canceled, Failed, Succeeded
from server.worker.worker import Worker
from tests.conftest import PREDICTORS
from tests.worker.conftest import (
    Client,
    Start,
    group_members,
    logs_of,
    open_descriptors,
    output_of,
    ready_again,
    running_worker,
    until_log,
    wait_until_empty,
)


async def test_from_start_to_stop(client: Client) -> None:
    before = datetime.now(UTC)
    worker = Worker("greet.py:Predictor", PREDICTORS, environment={})
    assert worker.state is WorkerState.STARTING
    await worker.start()
    signature = (await worker.loaded()).served
    assert [field.name for field in signature.inputs] == ["name", "times"]
    assert worker.signature == signature
    assert await worker.settled() is WorkerState.READY
    assert worker.setup.status == "succeeded"
    assert worker.setup.completed_at is not None
    assert before <= worker.setup.started_at <= worker.setup.completed_at <= datetime.now(UTC)
    assert (worker.has_been_ready, worker.restarts, worker.concurrency) == (True, 0, 1)
    assert worker.pid is not None
    assert os.getpgid(worker.pid) == worker.pid
    assert await client.output(worker, name="you") == "hello you"
    pid = worker.pid
    await worker.stop(5)
    assert wait_until_empty(pid) == []
    assert worker.pid is None
    assert await worker.settled() is WorkerState.STOPPED
    with pytest.raises(WorkerNotReady, match="has been stopped"):
        await anext(worker.run(client.command(name="you")))
    await worker.stop(5)


async def test_no_descriptors_and_no_tasks_are_left(client: Client) -> None:
    async with running_worker("greet") as worker:
        await worker.settled()
    before, tasks = open_descriptors(), len(asyncio.all_tasks())
    for _ in range(3):
        async with running_worker("greet") as worker:
            await worker.settled()
            await client.output(worker, name="x")
    assert open_descriptors() == before
    assert len(asyncio.all_tasks()) == tasks


def test_it_runs_under_uvloop(client: Client) -> None:
    async def scenario() -> None:
        async with running_worker("run_code", cancel_grace=0.1) as worker:
            assert await worker.settled() is WorkerState.READY
            code = "import os; print('py'); os.system('echo sub'); result = 'x' * 5_000_000"
            events = await client.predict(worker, code=code)
            assert output_of(events) == "x" * 5_000_000
            assert sorted(logs_of(events).splitlines()) == ["py", "sub"]
            crashed = await client.predict(worker, code="import os; os._exit(1)")
            assert isinstance(crashed[-1], Failed)
            await ready_again(worker, 1)
            assert await client.output(worker, code="result = 1") == 1

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


async def test_predictions_are_refused_until_it_is_ready(start: Start, client: Client, tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with running_worker("wait_in_setup", environment={"GO": str(go)}) as worker:
        await worker.loaded()
        assert worker.state is WorkerState.STARTING
        assert (worker.setup.status, worker.setup.completed_at) == ("starting", None)
        with pytest.raises(WorkerNotReady, match="is being set up"):
            await anext(worker.run(client.command()))
        with pytest.raises(WorkerNotReady):
            await worker.healthcheck()
        go.touch()
        assert await worker.settled() is WorkerState.READY
        assert worker.setup.logs == "setup waits\n"
        assert await client.output(worker) == "x"


async def test_what_is_asked_for_while_a_child_is_replaced_waits_for_the_new_one(start: Start, client: Client) -> None:
    worker = await start("run_code")
    await client.predict(worker, code="import os; os._exit(1)")
    assert worker.state is WorkerState.STARTING
    canceled = asyncio.create_task(client.predict(worker, code="result = 'canceled'"))
    await asyncio.sleep(0)
    worker.cancel("p2")
    assert [type(event) for event in await canceled] == [Canceled]
    assert worker.state is WorkerState.STARTING
    assert await client.output(worker, code="result = 'next'") == "next"
    assert worker.restarts == 1


async def test_a_setup_that_raises(start: Start, client: Client) -> None:
    worker = await start("raise_in_setup")
    assert worker.state is WorkerState.SETUP_FAILED
    assert worker.setup.error == "RuntimeError: the weights are gone"
    assert worker.setup.logs.startswith("loading weights\nTraceback (most recent call last):\n")
    assert worker.setup.logs.endswith("RuntimeError: the weights are gone\n")
    assert worker.setup.completed_at is not None
    assert (worker.has_been_ready, worker.restarts, worker.pid) == (False, 0, None)
    with pytest.raises(WorkerNotReady, match="could not be set up: RuntimeError: the weights are gone"):
        await anext(worker.run(client.command()))
    # Its signature is known nevertheless.
    assert (await worker.loaded()).served.inputs == ()


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("sys.exit", "SystemExit: 4"),
        ("os._exit", "Worker crashed: its process ended with exit status 3."),
        ("killed", "Worker crashed: its process was killed by SIGKILL. Most likely the machine ran out of memory:"),
        ("hang", "Setup did not finish within 1 s. Allow it more time (COG_SETUP_TIMEOUT)."),
    ],
)
async def test_a_setup_that_ends_its_process(start: Start, how: str, error: str) -> None:
    timeout = 1.0 if how == "hang" else None
    worker = await start("exit_in_setup", environment={"HOW": how}, setup_timeout=timeout)
    assert worker.state is WorkerState.SETUP_FAILED
    assert worker.setup.error is not None
    assert worker.setup.error.startswith(error)
    assert worker.setup.logs.endswith(f"{worker.setup.error}\n")


async def test_a_process_that_cannot_be_started(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await start("greet", environment={"NAME": "null \0"})
    assert worker.state is WorkerState.SETUP_FAILED
    assert worker.setup.error == "The worker process could not be started: embedded null byte"
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    worker = await start("greet")
    assert worker.setup.error == (
        "The worker process could not be started: [Errno 2] No such file or directory: '/nonexistent'"
    )


async def test_setup_may_take_its_time_without_a_limit(start: Start) -> None:
    assert (await start("greet", setup_timeout=60)).state is WorkerState.READY


async def test_synchronous_code_cannot_run_at_once(start: Start) -> None:
    worker = await start("greet", concurrency=2)
    assert worker.state is WorkerState.SETUP_FAILED
    assert worker.setup.error == (
        "A concurrency of 2 (COG_MAX_CONCURRENCY > 1) requires an async run() or predict() method, and "
        "Predictor.predict is not async. Make it so, or set the concurrency to 1."
    )


async def test_the_concurrency_given_is_stronger_than_the_models(start: Start) -> None:
    assert (await start("run_code_async")).concurrency == 4
    assert (await start("run_code_async", concurrency=2)).concurrency == 2


CRASHES = {
    "os._exit(0)": "its process ended with exit status 0. The model's code must not end it, as os._exit() does.",
    "os._exit(7)": "its process ended with exit status 7. The model's code must not end it, as os._exit() does.",
    "os._exit(75)": "its process gave up (exit status 75), as the engine does when the device has failed for good; the "
    "log says why. Try again: another process takes over.",
    "os.kill(os.getpid(), 9)": "its process was killed by SIGKILL. Most likely the machine ran out of memory: ask for "
    "less at once, use a smaller model, or give it more memory.",
    "os.kill(os.getpid(), 15)": "its process was killed by SIGTERM.",
    "os.kill(os.getpid(), 40)": "its process was killed by signal 40.",
    "os.abort()": "its process was killed by SIGABRT. Code in C has given up; the logs say why.",
    "import ctypes; ctypes.string_at(0)": "its process was killed by SIGSEGV. Code in C has crashed; "
    "the logs say where.",
    "os.closerange(3, 100)": "its process ended with exit status 1.",
}


async def test_a_crash_fails_the_prediction_and_the_child_is_replaced(start: Start, client: Client) -> None:
    worker = await start("run_code")
    for number, (code, reason) in enumerate(CRASHES.items()):
        pid = worker.pid
        events = await client.predict(worker, code=f"import os; os.system('echo before'); {code}")
        assert isinstance(events[-1], Failed)
        assert events[-1].error.startswith(f"Worker crashed: {reason}")
        assert logs_of(events).startswith("before\n")
        await ready_again(worker, number + 1)
        assert worker.pid != pid
        assert await client.output(worker, code="result = 'next'") == "next"


async def test_what_the_interpreter_says_of_a_crash_is_in_the_logs(start: Start, client: Client) -> None:
    worker = await start("run_code")
    events = await client.predict(worker, code="import ctypes; ctypes.string_at(0)")
    assert "Fatal Python error: Segmentation fault" in logs_of(events)
    assert "run_code.py" in logs_of(events)


async def test_killed_from_outside_in_mid_prediction(start: Start, client: Client) -> None:
    worker = await start("run_code_async")
    commands = [client.command(code="import asyncio; print('started'); await asyncio.sleep(1000)") for _ in range(3)]
    runs = [worker.run(command) for command in commands]
    for run in runs:
        await until_log(run, "started")
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    for run in runs:
        events = [event async for event in run]
        assert isinstance(events[-1], Failed)
        assert events[-1].error.startswith("Worker crashed: its process was killed by SIGKILL.")
    await ready_again(worker, 1)
    assert await client.output(worker, code="result = 1") == 1


async def test_killed_while_nothing_runs(start: Start, client: Client) -> None:
    worker = await start("greet")
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    await ready_again(worker, 1)
    assert await client.output(worker, name="you") == "hello you"


async def test_ctrl_c_does_not_reach_the_child(start: Start, client: Client) -> None:
    worker = await start("run_code")
    async with aclosing(worker.run(client.command(code="import time; print('started'); time.sleep(0.2)"))) as events:
        await until_log(events, "started")
        assert worker.pid is not None
        os.killpg(worker.pid, signal.SIGINT)
        rest = [event async for event in events]
    assert isinstance(rest[-1], Succeeded)
    assert logs_of(rest) == ""
    # And programs that the model starts are not deaf to it.
    code = "import signal, subprocess, sys\nask = 'import signal; print(signal.getsignal(signal.SIGINT))'\n"
    code += "result = subprocess.check_output([sys.executable, '-c', ask], text=True)"
    assert "default_int_handler" in await client.output(worker, code=code)


async def test_a_setup_that_fails_later_is_tried_again(start: Start, client: Client, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    worker = await start("fail_second_setup", environment={"BROKEN": str(broken)})
    broken.touch()
    assert isinstance((await client.predict(worker, crash=True))[-1], Failed)
    while worker.restarts < 1 or worker.setup.error is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert worker.state is WorkerState.STARTING
    broken.unlink()
    assert await worker.settled() is WorkerState.READY
    assert worker.restarts == 2
    assert worker.setup.status == "succeeded"
    assert await client.output(worker) == "done"


async def test_stop_lets_what_runs_end(start: Start, client: Client) -> None:
    worker = await start("run_code")
    command = client.command(code="import time; print('started'); time.sleep(0.3); result = 'finished'")
    async with aclosing(worker.run(command)) as events:
        await until_log(events, "started")
        stopping = asyncio.create_task(worker.stop(30))
        rest = [event async for event in events]
    assert output_of(rest) == "finished"
    await stopping


async def test_stop_ends_what_takes_longer(start: Start, client: Client) -> None:
    worker = await start("run_code")
    running = client.command(code="import time; print('started'); time.sleep(1000)")
    async with aclosing(worker.run(running)) as events:
        await until_log(events, "started")
        waiting = asyncio.create_task(client.predict(worker, code="result = 1"))
        await asyncio.sleep(0)
        await worker.stop(0.1)
        rest = [event async for event in events]
    assert isinstance(rest[-1], Failed)
    assert rest[-1].error == "The server was stopped before the prediction had ended."
    failed = (await waiting)[-1]
    assert isinstance(failed, Failed)
    assert failed.error == "The server was stopped before the prediction had begun."


async def test_stop_lets_models_clean_up(start: Start, client: Client, tmp_path: Path) -> None:
    worker = await start("run_code")
    mark = tmp_path / "mark"
    code = f"import atexit, pathlib; atexit.register(lambda: pathlib.Path({str(mark)!r}).write_text('clean'))"
    await client.output(worker, code=code)
    await worker.stop(30)
    assert mark.read_text() == "clean"


async def test_stop_is_no_crash_while_a_thread_of_the_model_computes(
    start: Start, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    worker = await start("run_code")
    code = (
        "import threading, torch; x = torch.rand(64, 64)\n"
        "threading.Thread(target=lambda: [x @ x for _ in iter(int, 1)], daemon=True).start()"
    )
    await client.output(worker, code=code)
    await worker.stop(30)
    # What C++ says where Python ends a thread within it, and then Python.
    assert "terminate called" not in caplog.text
    assert "Fatal Python error" not in caplog.text


@pytest.mark.parametrize("moment", ["at once", "loaded"])
async def test_stop_during_setup(moment: str) -> None:
    async with running_worker("exit_in_setup", environment={"HOW": "hang"}) as worker:
        if moment == "loaded":
            await worker.loaded()
        waiting = asyncio.create_task(worker.loaded())
        settling = asyncio.create_task(worker.settled())
        await worker.stop(1000)
        assert await settling is WorkerState.STOPPED
        if moment == "at once":
            with pytest.raises(WorkerError, match="stopped before the predictor was loaded"):
                await waiting
        else:
            await waiting


async def test_stop_while_a_restart_is_put_off(client: Client, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    async with running_worker("fail_second_setup", environment={"BROKEN": str(broken)}) as worker:
        await worker.settled()
        broken.touch()
        await client.predict(worker, crash=True)
        while worker.restarts < 1 or worker.setup.error is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert worker.pid is None
        await worker.stop(1000)


async def test_a_worker_whose_task_is_canceled_leaves_nothing(tmp_path: Path) -> None:
    pids = []

    async def serve() -> None:
        worker = Worker("leave_processes.py:Predictor", PREDICTORS, environment={})
        await worker.start()
        await worker.settled()
        pids.append(worker.pid)
        await asyncio.Event().wait()

    # As a server that is interrupted does: the loop ends, and nobody has called `stop`.
    await asyncio.to_thread(_run_and_cancel, serve, pids)
    assert pids[0] is not None
    assert await asyncio.to_thread(wait_until_empty, pids[0]) == []


def _run_and_cancel(serve: object, pids: list[int | None]) -> None:
    with asyncio.Runner() as runner:
        task = runner.get_loop().create_task(serve())  # type: ignore[operator]

        async def wait() -> None:
            while not pids:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        runner.run(wait())
        task.cancel()


async def test_what_the_model_has_started_goes_with_it(start: Start, client: Client) -> None:
    worker = await start("leave_processes")
    program = await client.output(worker)
    assert worker.pid is not None
    assert program in group_members(worker.pid)
    group = worker.pid
    os.kill(group, signal.SIGKILL)
    await ready_again(worker, 1)
    assert await asyncio.to_thread(wait_until_empty, group) == []
    assert worker.pid is not None
    assert len(group_members(worker.pid)) == 2
    # `start` checks that nothing is left of the second child.


async def test_events_of_an_unknown_prediction_are_dropped(start: Start, client: Client) -> None:
    worker = await start("run_code")
    # A thread that goes on after the end, and whose prediction is told by its context.
    code = """
import contextvars, threading, time
def go_on():
    for _ in range(50):
        print("late")
        time.sleep(0.002)
threading.Thread(target=contextvars.copy_context().run, args=(go_on,)).start()
"""
    await client.predict(worker, code=code)
    for number in range(20):
        events = await client.predict(worker, code=f"import time; time.sleep(0.005); result = {number}")
        assert logs_of(events) == ""
        assert output_of(events) == number


async def test_an_iterator_that_is_not_read_holds_the_model_back_and_nobody_else(start: Start, client: Client) -> None:
    worker = await start("run_code")
    command = client.command(code="print('started')\nfor n in range(100_000): self.record_metric('n', n)")
    async with aclosing(worker.run(command)) as events:
        await until_log(events, "started")
        await asyncio.sleep(0.3)
        run = next(iter(worker._runs._running.values()))
        assert len(run._events) < 5000
        rest = [event async for event in events]
    assert len(rest) > 90_000
    assert isinstance(rest[-1], Succeeded)


async def test_an_abandoned_prediction_does_not_hold_the_worker_back(start: Start, client: Client) -> None:
    worker = await start("run_code")
    code = "print('started')\nwhile True: self.record_metric('n', 1, 'incr')"
    async with aclosing(worker.run(client.command(code=code))) as events:
        await until_log(events, "started")
    assert await client.output(worker, code="result = 1") == 1
