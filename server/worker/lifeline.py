"""Ends the child, and all that it has started, when the parent is gone.

The parent holds the writing end of a pipe and never writes. However it ends, the kernel closes that end. On Linux the
kernel then kills the child's process group itself, also while code in C keeps Python from running; elsewhere the
thread that reads the commands does so as soon as it can.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn


def hold(reading_end: int) -> None:
    """Tie this process group to the parent; in the child, which must be the leader of its group.

    Args:
        reading_end: a file descriptor of the pipe's end; it is kept, and not inherited by the programs that the
            model starts.
    """
    os.set_inheritable(reading_end, False)
    if sys.platform == "linux":
        fcntl.fcntl(reading_end, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(reading_end, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(reading_end, fcntl.F_SETFL, fcntl.fcntl(reading_end, fcntl.F_GETFL) | os.O_ASYNC)


def end_group() -> None:
    """Kill this process and all others of its group, at once."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


def leave(status: int) -> NoReturn:
    """End this process with what Python does at the end for those who asked for it, but without taking it apart.

    Taking it apart ends threads wherever they are, and within C++, as in a forward pass, that is a crash: `terminate
    called`, SIGABRT and a dump of the core, at each stop while the model computes. `multiprocessing` does the same.
    """
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
        atexit._run_exitfuncs()
        for stream in sys.stdout, sys.stderr:
            with suppress(Exception):
                stream.flush()
    finally:
        os._exit(status)


def give_up(error: OSError) -> None:
    """End this process because it cannot speak to the parent any more."""
    if isinstance(error, BrokenPipeError | ConnectionResetError):
        end_group()
    # The parent lives, will see the end, and passes this on.
    reason = (
        f"The connection to the server is broken ({error}). The model's code must not close what it has not opened.\n"
    )
    with suppress(OSError):
        os.write(2, reason.encode())
    os._exit(1)
