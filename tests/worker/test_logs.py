"""What the model writes, and whose it is."""

from __future__ import annotations

import asyncio
import re

import pytest

from server.worker.lines import MAX_LINE_BYTES
from server.worker.messages import Log, LogSource, Output, Succeeded
from server.worker.setup import MAX_LOG_LENGTH
from tests.worker.conftest import Client, Start, logs_of

WRITTEN = {
    "print('one'); print('two')": "one\ntwo\n",
    "import sys; print('err', file=sys.stderr)": "err\n",
    "print('no newline', end='')": "no newline",
    "print('a', end='\\r'); print('b', end='\\r'); print('c')": "a\rb\rc\n",
    "print('é', '\\N{SNOWMAN}')": "é \N{SNOWMAN}\n",
    "print('half \\ud800')": "half \\ud800\n",
    "import sys; sys.stdout.buffer.write(b'bin\\xff\\x00\\n')": "bin�\x00\n",
    "import sys; sys.stdout.writelines(['a\\n', 'b\\n'])": "a\nb\n",
    "import logging; logging.warning('careful')": "WARNING:root:careful\n",
    "import warnings; warnings.warn('old')": "<string>:1: UserWarning: old\n",
    "import os; os.write(1, b'raw\\n')": "raw\n",
    "import os; os.write(2, b'raw')": "raw",
    "import subprocess; subprocess.run(['echo', 'sub'])": "sub\n",
    "import subprocess, sys; subprocess.run(['echo', 'sub'], stdout=sys.stdout)": "sub\n",
    "import subprocess, sys; subprocess.run('echo sub >&2', shell=True, stderr=sys.stderr)": "sub\n",
    "import sys; sys.__stdout__.write('real\\n'); sys.__stdout__.flush()": "real\n",
    "import threading\nt = threading.Thread(target=print, args=('thread',)); t.start(); t.join()": "thread\n",
    "import sys; sys.stdout.reconfigure(line_buffering=True); print('reconfigured')": "reconfigured\n",
    "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()): print('in')\nprint('out')": "out\n",
    "import io, sys; io.TextIOWrapper(sys.stdout.buffer).write('wrapped\\n')\nprint('after')": "wrapped\nafter\n",
    "import sys; sys.stdout.close(); print('still')": "still\n",
    "import sys, io\nold = sys.stdout\nsys.stdout = io.StringIO(); print('x')\nsys.stdout = old; print('y')": "y\n",
    "import cog.suppress_output": "",
    "import faulthandler, sys; faulthandler.enable(sys.stderr)": "",
}


async def test_everything_arrives(start: Start, client: Client) -> None:
    worker = await start("run_code")
    for code, logs in WRITTEN.items():
        events = await client.predict(worker, code=code)
        assert isinstance(events[-1], Succeeded), events
        # Nothing is lost, and nothing is left for the next.
        assert (code, logs_of(events)) == (code, logs)


async def test_the_streams_look_like_files(start: Start, client: Client) -> None:
    worker = await start("run_code")
    code = """
import sys
result = [
    [s.isatty(), s.fileno(), s.encoding, s.name, s.writable(), s.readable(), s.closed, s.buffer.mode]
    for s in (sys.stdout, sys.stderr)
]
"""
    assert await client.output(worker, code=code) == [
        [False, 1, "utf-8", "<stdout>", True, False, False, "wb"],
        [False, 2, "utf-8", "<stderr>", True, False, False, "wb"],
    ]


async def test_sources_are_told_apart_and_order_is_kept(start: Start, client: Client) -> None:
    worker = await start("run_code")
    events = await client.predict(worker, code="import sys\nfor n in range(3):\n  print(n); print(n, file=sys.stderr)")
    assert [(e.source, e.text) for e in events if isinstance(e, Log)] == [
        (source, f"{n}\n") for n in range(3) for source in (LogSource.STDOUT, LogSource.STDERR)
    ]


async def test_logs_and_outputs_keep_their_order(start: Start, client: Client) -> None:
    worker = await start("yield_code")
    events = await client.predict(worker, code="def items():\n  for n in range(50):\n    print(n)\n    yield n")
    texts_and_values = (event for event in events if isinstance(event, Log | Output))
    seen = [event.text.strip() if isinstance(event, Log) else event.value for event in texts_and_values]
    assert seen == [value for n in range(50) for value in (str(n), n)]


async def test_a_progress_bar_arrives_as_lines(start: Start, client: Client) -> None:
    worker = await start("draw_bar")
    events = await client.predict(worker, steps=4)
    logs = [event.text for event in events if isinstance(event, Log)]
    assert logs[0] == "before the bar\n"
    assert logs[-1] == "after the bar\n"
    assert "\r" in logs_of(events)
    assert re.search(r"denoising: 100%\|.*\| 4/4 ", logs_of(events))


async def test_who_writes_is_told_apart_where_many_run(start: Start, client: Client) -> None:
    worker = await start("run_code_async")
    code = """
import asyncio, sys
for n in range(30):
    print("{name}", end=" ")
    await asyncio.sleep(0)
    print(n)
await asyncio.to_thread(print, "{name} in a thread")
await asyncio.create_task(asyncio.sleep(0))
print("{name} ends", end="")
"""
    commands = [client.command(code=code.format(name=name)) for name in "abcd"]
    results = await asyncio.gather(*(client.events(worker, command) for command in commands))
    for name, events in zip("abcd", results, strict=True):
        assert logs_of(events) == "".join(f"{name} {n}\n" for n in range(30)) + f"{name} in a thread\n{name} ends"


async def test_what_belongs_to_nobody_goes_to_the_servers_log(
    start: Start, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "server.model")
    worker = await start("run_code")
    code = "import threading\nself.go = threading.Event()\n"
    code += "def late(): self.go.wait(); print('late'); self.went.set()\nself.went = threading.Event()\n"
    code += "threading.Thread(target=late, daemon=True).start()"
    assert logs_of(await client.predict(worker, code=code)) == ""
    # Two predictions cannot run at once here, so the only one that can be meant is the one that runs.
    events = await client.predict(worker, code="self.go.set(); self.went.wait()")
    assert logs_of(events) == "late\n"
    assert "late" in caplog.messages


async def test_the_servers_log_repeats_everything(
    start: Start, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "server.model")
    worker = await start("wait_in_setup", environment={"GO": "/"})
    assert worker.setup.logs == "setup waits\n"
    worker = await start("run_code")
    await client.predict(worker, code="print('one\\ntwo'); import os; os.system('echo sub')")
    records = [(record.getMessage(), getattr(record, "prediction", "?")) for record in caplog.records]
    assert ("setup waits", None) in records
    assert {("one", "p1"), ("two", "p1"), ("sub", "p1")} <= set(records)


async def test_setup_logs_are_bounded(start: Start) -> None:
    worker = await start("print_in_setup", environment={"LINES": "40000"})
    assert len(worker.setup.logs) < MAX_LOG_LENGTH + 200_000
    assert re.match(r"\[the first \d+ characters were dropped\]\nline", worker.setup.logs)
    assert worker.setup.logs.endswith("line 39999 " + "x" * 50 + "\n")


@pytest.mark.parametrize(
    "write",
    [
        "print(line * 1000)",
        "sys.stdout.buffer.write(line.encode() * 1000 + b'\\n')",
        "os.write(1, line.encode() * 600 + b'\\n')",
    ],
)
async def test_large_logs_take_little_memory(start: Start, client: Client, write: str) -> None:
    worker = await start("run_code")
    code = f"""
import os, resource, sys
line = "x" * 100
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(1000): {write}
result = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
"""
    length, megabytes = 0, None
    async for event in worker.run(client.command(code=code)):
        if isinstance(event, Log):
            length += len(event.text)
            assert len(event.text) <= 2 * MAX_LINE_BYTES
        elif isinstance(event, Output):
            megabytes = event.value
    assert length in (1000 * (100_000 + 1), 1000 * (60_000 + 1))
    assert megabytes is not None
    assert megabytes < 30


async def test_one_endless_line_takes_little_memory(start: Start, client: Client) -> None:
    worker = await start("run_code")
    code = "for _ in range(2000): print('x' * 10000, end='')"
    length = 0
    async for event in worker.run(client.command(code=code)):
        if isinstance(event, Log):
            length += len(event.text)
    assert length == 20_000_000


async def test_many_threads_write_whole_lines(start: Start, client: Client) -> None:
    worker = await start("run_code")
    code = """
import sys, threading
def write(name):
    for n in range(500): sys.stdout.write(f"{name} {n}\\n")
threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    events = await client.predict(worker, code=code)
    lines = logs_of(events).splitlines()
    assert {name: [line for line in lines if line.startswith(name)] for name in "abcd"} == {
        name: [f"{name} {n}" for n in range(500)] for name in "abcd"
    }
