"""What models and libraries do with `sys.stdout`: ask it things, replace it, use it from threads."""

import contextlib
import io
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cog import BasePredictor


class Tee:
    def __init__(self, stream) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        return self.stream.write(text.upper())

    def flush(self) -> None:
        self.stream.flush()


def attributes() -> dict:
    stream = sys.stdout
    return {
        "isatty": stream.isatty(),
        "writable": stream.writable(),
        "encoding": stream.encoding,
        "closed": stream.closed,
        "has buffer": hasattr(stream, "buffer"),
    }


def redirected() -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print("kept away")
    print("shown")
    return text.getvalue()


def tee() -> None:
    before = sys.stdout
    sys.stdout = Tee(before)
    try:
        print("louder")
    finally:
        sys.stdout = before


def left() -> None:
    sys.stdout = io.StringIO()
    print("nobody reads this")


def both_unfinished() -> None:
    sys.stdout.write("out ")
    sys.stderr.write("err ")
    sys.stdout.write("out\n")
    sys.stderr.write("err\n")


def thread() -> None:
    thread = threading.Thread(target=print, args=("from a thread",))
    thread.start()
    thread.join()


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.pool = ThreadPoolExecutor(1)
        self.pool.submit(print, "in setup").result()

    def predict(self, kind: str) -> Any:
        if kind == "pool of setup":
            return self.pool.submit(print, "from the pool").result()
        return globals()[kind]()


REQUESTS = [
    {"input": {"kind": "attributes"}},
    {"input": {"kind": "redirected"}},
    {"input": {"kind": "tee"}},
    {"input": {"kind": "both_unfinished"}},
    {"input": {"kind": "thread"}},
    {"input": {"kind": "pool of setup"}},
    {"input": {"kind": "left"}},
    {"input": {"kind": "redirected"}},
]
