"""Exceptions of an asynchronous generator, after two of its pieces."""

import asyncio
from collections.abc import AsyncIterator

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
    async def predict(self, kind: str) -> AsyncIterator[str]:
        print("before")
        yield "a"
        yield "b"
        if kind in KINDS:
            raise KINDS[kind]()
        yield "c"


REQUESTS = [
    {"input": {"kind": "value"}},
    {"input": {"kind": "base"}},
    {"input": {"kind": "stop"}},
    {"input": {"kind": "stop async"}},
    {"input": {"kind": "generator exit"}},
    {"input": {"kind": "canceled by asyncio"}},
    {"input": {"kind": "canceled by cog"}, "ours": {"status": "canceled", "error": ...}, "because": "OWN_CANCELATION"},
    {"input": {"kind": "fine"}},
    {
        "input": {"kind": "exit"},
        "cog_hangs": True,
        "ours": {
            "error": "Prediction failed: Async prediction failed: SystemExit: 2",
            "id": "pred_",
            "logs": "",
            "metrics": {"predict_time": "seconds"},
            "status": "failed",
        },
        "because": "ASYNC_EXIT",
    },
    {
        "input": {"kind": "interrupt"},
        "cog_hangs": True,
        "ours": {
            "error": "Prediction failed: Async prediction failed: KeyboardInterrupt: ",
            "id": "pred_",
            "logs": "",
            "metrics": {"predict_time": "seconds"},
            "status": "failed",
        },
        "because": "ASYNC_EXIT",
    },
]
