"""What the child, and what it has started, writes to the file descriptors 1 and 2."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from server.worker.lines import Lines
from server.worker.messages import LogSource

_PIPE_BYTES = 1 << 16
"""What a pipe holds; more than one read is needed only of what was written meanwhile."""


class Console:
    """Reads both pipes, in whole lines.

    Args:
        stdout, stderr: the reading ends; they must not block.
        write: takes the text.
        make_room: awaited after each text, until more may come. Meanwhile the pipe fills, and whoever writes waits.
    """

    def __init__(
        self,
        stdout: int,
        stderr: int,
        write: Callable[[LogSource, str], None],
        make_room: Callable[[], Awaitable[None]],
    ) -> None:
        self._descriptors = {LogSource.STDOUT: stdout, LogSource.STDERR: stderr}
        self._lines = {source: Lines() for source in LogSource}
        self._write = write
        self._make_room = make_room
        self._tasks = [asyncio.create_task(self._follow(source)) for source in LogSource]

    def drain(self) -> None:
        """Take what has been written by now, unfinished lines included."""
        for source in LogSource:
            self._read(source)
            if rest := self._lines[source].rest():
                self._write(source, rest)

    async def close(self) -> None:
        """Take what is left, and stop reading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self.drain()

    async def _follow(self, source: LogSource) -> None:
        while True:
            await _readable(self._descriptors[source])
            if not self._read(source):
                return
            await self._make_room()

    def _read(self, source: LogSource) -> bool:
        """Take what there is; false at the end."""
        try:
            data = os.read(self._descriptors[source], _PIPE_BYTES)
        except BlockingIOError:
            return True
        if text := self._lines[source].feed(data):
            self._write(source, text)
        return bool(data)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def set_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, set_ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
