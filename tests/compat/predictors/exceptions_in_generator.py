"""Exceptions of a generator, after two of its pieces."""

import asyncio
from collections.abc import Iterator

from cog import BasePredictor, CancelationException


class Rude(BaseException):
    pass


KINDS = {
    "value": lambda: ValueError("bad"),
    "base": lambda: Rude("base"),
    "exit": lambda: SystemExit(2),
    "interrupt": lambda: KeyboardInterrupt(),
    "stop": lambda: StopIteration("a"),
    "stop async": lambda: StopAsyncIteration(),
    "generator exit": lambda: GeneratorExit(),
    "canceled by asyncio": lambda: asyncio.CancelledError("me"),
    "canceled by cog": lambda: CancelationException("me"),
}


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Iterator[str]:
        if kind == "at once":
            raise ValueError("at once")
        print("before")
        yield "a"
        yield "b"
        if kind == "not JSON":
            yield object
        if kind == "in finally":
            try:
                yield "b"
            finally:
                raise ValueError("in finally")
        if kind in KINDS:
            raise KINDS[kind]()
        yield "c"


REQUESTS = [
    {"input": {"kind": "at once"}},
    {"input": {"kind": "not JSON"}},
    {"input": {"kind": "in finally"}},
    {"input": {"kind": "value"}},
    {"input": {"kind": "base"}},
    {"input": {"kind": "exit"}},
    {"input": {"kind": "interrupt"}},
    {"input": {"kind": "stop"}},
    {"input": {"kind": "stop async"}},
    {"input": {"kind": "generator exit"}},
    {"input": {"kind": "canceled by asyncio"}},
    {"input": {"kind": "canceled by cog"}},
    {"input": {"kind": "fine"}},
]
