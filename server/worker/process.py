"""One child process, from its start until it is gone with everything that it started."""

from __future__ import annotations

import asyncio
import os
import signal
import site
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import server
from server.worker.connection import ParentConnection

_ROOT = str(Path(server.__path__[0]).parent)

_IMPORTS = str(Path(__file__).parent / "imports")
"""A folder with a `cog.py`, for the Python processes that a model starts."""


class WorkerProcess:
    """A child and its group of processes. `start` makes it.

    Attributes:
        pid: its id, and that of its process group.
        connection: the socket to it.
        stdout, stderr: the reading ends of its file descriptors 1 and 2; they do not block.
        exited: its exit status, negative for a signal, once it and its group are gone. Never canceled from here.
    """

    def __init__(self, popen: subprocess.Popen[bytes], connection: ParentConnection, lifeline: int) -> None:
        assert popen.stdout is not None
        assert popen.stderr is not None
        self.pid = popen.pid
        self.connection = connection
        self.stdout = popen.stdout.fileno()
        self.stderr = popen.stderr.fileno()
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._popen = popen
        self._lifeline = lifeline
        for descriptor in (self.stdout, self.stderr):
            os.set_blocking(descriptor, False)
        threading.Thread(target=self._wait, name=f"darkroom-wait-{self.pid}", daemon=True).start()

    @classmethod
    async def start(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> WorkerProcess:
        """Start `server.worker` with these arguments.

        Args:
            arguments: beside those that say how to reach the parent.
            environment: variables added to those of this process.

        Raises:
            OSError: the system lets no process start.
            ValueError: a variable cannot be one.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            # First what can be canceled: once there is a process, nothing may come between it and its owner.
            try:
                connection = await ParentConnection.open(ours)
            except BaseException:
                ours.close()
                raise
            try:
                popen, lifeline = _spawn(theirs, arguments, {**os.environ, **environment})
            except BaseException:
                connection.close()
                raise
        return cls(popen, connection, lifeline)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; nothing happens after `exited`."""
        if not self.exited.done():
            self._send_signal(number)

    def kill(self) -> None:
        """End the whole group at once; `exited` follows."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Give back the file descriptors; for after `exited`, or without waiting for it: then the child is killed."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        self.connection.close()
        for stream in (self._popen.stdout, self._popen.stderr):
            assert stream is not None
            stream.close()

    def _wait(self) -> None:
        status = self._popen.wait()
        # What the model has started goes with it.
        self._send_signal(signal.SIGKILL)
        # The loop may be gone, if nobody waited for this.
        with suppress(RuntimeError):
            loop = self.exited.get_loop()
            loop.call_soon_threadsafe(self._report, status)

    def _send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _report(self, status: int) -> None:
        if not self.exited.done():
            self.exited.set_result(status)


def _spawn(
    end: socket.socket, arguments: Sequence[str], environment: dict[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    reading_end, lifeline = os.pipe()
    try:
        popen = subprocess.Popen(  # noqa: S603 - the program is this one
            [
                *(sys.executable, "-P", "-X", "faulthandler", "-m", "server.worker"),
                *("--socket", str(end.fileno()), "--lifeline", str(reading_end)),
                *arguments,
            ],
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_with_import_path(environment),
            pass_fds=(end.fileno(), reading_end),
            # Out of reach of Ctrl-C, and a group that can be ended as one.
            start_new_session=True,
        )
    except BaseException:
        os.close(lifeline)
        raise
    finally:
        os.close(reading_end)
    return popen, lifeline


def _with_import_path(environment: dict[str, str]) -> dict[str, str]:
    """`environment`, where Python processes find this package, as the parent did, and `cog`."""
    paths = [_IMPORTS]
    # Not where it is installed: as part of PYTHONPATH, that folder would come before the standard library.
    if _ROOT not in (*site.getsitepackages(), site.getusersitepackages()):
        paths.append(_ROOT)
    if existing := environment.get("PYTHONPATH"):
        paths.append(existing)
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}
