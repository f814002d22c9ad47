"""`suppress_output`: silence code that writes to the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def suppress_output() -> Iterator[None]:
    """Send everything that is written to standard output and standard error to nowhere, also from C code."""
    streams = [sys.stdout, sys.stderr]
    targets = [stream.fileno() for stream in streams]
    for stream in streams:
        stream.flush()
    saved = [os.dup(target) for target in targets]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for target in targets:
            os.dup2(nowhere, target)
        yield
    finally:
        # Python buffers: text written meanwhile must leave before the terminal is back.
        for stream in streams:
            stream.flush()
        for target, copy in zip(targets, saved, strict=True):
            os.dup2(copy, target)
            os.close(copy)
        os.close(nowhere)
