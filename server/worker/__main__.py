"""The child process. `server.worker.process` starts it; nobody else should."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from pathlib import Path

from server import cog
from server.schema.signature import Mode
from server.tracing import Tracing
from server.worker.child import Child
from server.worker.connection import ChildConnection
from server.worker.lifeline import give_up, hold, leave


def main() -> int:
    """Serve one model; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--lifeline", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--mode", type=Mode, required=True)
    parser.add_argument("--predictor")
    parser.add_argument("--trainer")
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--traceparent")
    options = parser.parse_args()
    # What is the parent's business must not look like the model's.
    del sys.argv[1:]
    hold(options.lifeline)
    end = socket.socket(fileno=options.socket)
    end.set_inheritable(False)
    # The parent decides when to end. A handler, not SIG_IGN: that the programs that the model starts would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    cog.alias()
    named = {Mode.PREDICT: options.predictor, Mode.TRAIN: options.trainer}
    references = {mode: reference for mode, reference in named.items() if reference is not None}
    connection = ChildConnection(end, give_up)
    tracing, trace = Tracing(), {}
    if options.traceparent:
        # Its SDK is an extra, which is there where the parent makes traces.
        from server.worker.recording import record

        tracing, trace = record(connection), {"traceparent": options.traceparent}
    return Child(connection, options.directory, references, options.mode, options.concurrency, tracing, trace).run()


if __name__ == "__main__":
    leave(main())
