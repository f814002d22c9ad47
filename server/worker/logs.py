"""What the model writes to `sys.stdout` and `sys.stderr`, as log events of the prediction that wrote it.

What is written to the file descriptors themselves, by child processes or by code in C, goes through pipes to the
parent (`server.worker.console`). That survives a crash; of what is written here, the last milliseconds do not.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

from server.worker.connection import ChildConnection
from server.worker.lines import MAX_LINE_BYTES, Lines
from server.worker.messages import Log, LogSource

_NOBODY = ""
"""Stands for "no prediction" where that is known, and not merely unknown; the ids of predictions are not empty."""

_author: ContextVar[str | None] = ContextVar("author", default=None)

_Shield = Callable[[], AbstractContextManager[object]]


class Logs:
    """Attributes what is written to the prediction that the code belongs to, and sends it.

    A context variable tells which that is. Threads that the model starts inherit none: theirs is the prediction that
    runs, as long as it is the only one.

    Args:
        connection: where the events go.
        shield: makes a context within which the calling thread is not interrupted.
    """

    def __init__(self, connection: ChildConnection, shield: _Shield) -> None:
        self._connection = connection
        self._shield = shield
        # Reentrant, for signal handlers that print.
        self._lock = threading.RLock()
        self._running: dict[str, None] = {}
        self._lines: dict[tuple[str, LogSource], Lines] = {}
        self._detached = False

    def install(self) -> None:
        """Replace `sys.stdout` and `sys.stderr`."""
        sys.stdout = _text_stream(self, LogSource.STDOUT, 1)
        sys.stderr = _text_stream(self, LogSource.STDERR, 2)
        os.register_at_fork(after_in_child=self._let_go)

    def detach(self) -> None:
        """From now on, let the streams write to the file descriptors: nothing more can be sent."""
        self.flush()
        self._detached = True

    @contextmanager
    def prediction(self, id: str) -> Iterator[None]:
        """Attribute what is written inside to a prediction; at the end, send its unfinished lines."""
        token = _author.set(id)
        with self._shield(), self._lock:
            self._running[id] = None
        try:
            yield
        finally:
            with self._shield(), self._lock:
                self._flush(id)
                del self._running[id]
            _author.reset(token)

    @contextmanager
    def nobody(self) -> Iterator[None]:
        """Attribute what is written inside to no prediction, whatever runs; at the end, send unfinished lines."""
        token = _author.set(_NOBODY)
        try:
            yield
        finally:
            self.flush()
            _author.reset(token)

    def report(self, text: str) -> None:
        """Write to standard error for nobody's prediction, also where the model has replaced `sys.stderr`."""
        with self.nobody():
            self.write(LogSource.STDERR, 2, text.encode())

    def flush(self) -> None:
        """Send the unfinished lines that belong to no prediction."""
        with self._shield(), self._lock:
            self._flush(_NOBODY)

    def write(self, source: LogSource, descriptor: int, data: bytes) -> None:
        """Take what was written to a stream; waits while the parent takes in less."""
        for start in range(0, len(data), MAX_LINE_BYTES):
            piece = data[start : start + MAX_LINE_BYTES]
            if self._detached:
                _write_all(descriptor, piece)
                continue
            # Not under the lock, nor under the shield: the wait may be long.
            self._connection.wait_for_room(len(piece))
            with self._shield(), self._lock:
                author = self._attribute()
                if (lines := self._lines.get((author, source))) is None:
                    lines = self._lines[author, source] = Lines()
                self._send(author, source, lines.feed(piece))

    def _attribute(self) -> str:
        author = _author.get()
        if author is None and len(self._running) == 1:
            return next(iter(self._running))
        # During setup, or after the end of the prediction that started this code, it is nobody's.
        return author if author in self._running else _NOBODY

    def _flush(self, author: str) -> None:
        for source in LogSource:
            if lines := self._lines.pop((author, source), None):
                self._send(author, source, lines.rest())

    def _send(self, author: str, source: LogSource, text: str) -> None:
        if text:
            self._connection.send(Log(author or None, source, text), wait=False)

    def _let_go(self) -> None:
        # In a process that the model forks: another thread may have held the lock, and nothing can be sent.
        self._lock = threading.RLock()
        self._lines.clear()
        self._detached = True


class _ByteStream(io.RawIOBase):
    """What `sys.stdout.buffer` is: takes any bytes, and is never closed."""

    def __init__(self, logs: Logs, source: LogSource, descriptor: int) -> None:
        self.name = f"<{source}>"
        self.mode = "wb"
        self._logs = logs
        self._source = source
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._logs.write(self._source, self._descriptor, content)
        return len(content)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """Do nothing: a wrapper that a model put around this stream closes it when it is collected."""


def _text_stream(logs: Logs, source: LogSource, descriptor: int) -> io.TextIOWrapper:
    stream = _ByteStream(logs, source, descriptor)
    # Each write is passed on at once, in the context of who wrote it.
    return io.TextIOWrapper(stream, "utf-8", "backslashreplace", newline="\n", write_through=True)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
