"""Exceptions of an asynchronous `predict`."""

import asyncio

from cog import BasePredictor, CancelationException


class Custom(Exception):
    pass


class Rude(BaseException):
    pass


KINDS = {
    "value": lambda: ValueError("bad"),
    "custom": lambda: Custom("mine"),
    "empty": lambda: ValueError(),
    "lines": lambda: ValueError("one\ntwo"),
    "base": lambda: Rude("base"),
    "exit": lambda: SystemExit(),
    "exit 3": lambda: SystemExit(3),
    "interrupt": lambda: KeyboardInterrupt(),
    "generator exit": lambda: GeneratorExit(),
    "stop": lambda: StopIteration("a"),
    "stop async": lambda: StopAsyncIteration(),
    "group": lambda: ExceptionGroup("both", [ValueError("a"), Custom("b")]),
    "canceled by asyncio": lambda: asyncio.CancelledError("me"),
    "canceled by cog": lambda: CancelationException("me"),
    "timeout": lambda: TimeoutError("late"),
}


class Predictor(BasePredictor):
    async def predict(self, kind: str) -> str:
        print("before")
        await asyncio.sleep(0)
        if kind in KINDS:
            raise KINDS[kind]()
        return "nothing was raised"


REQUESTS = [
    {"input": {"kind": "value"}},
    {"input": {"kind": "custom"}},
    {"input": {"kind": "empty"}},
    {"input": {"kind": "lines"}},
    {"input": {"kind": "base"}},
    {"input": {"kind": "generator exit"}},
    {"input": {"kind": "stop"}},
    {"input": {"kind": "stop async"}},
    {"input": {"kind": "group"}},
    {"input": {"kind": "canceled by asyncio"}},
    {"input": {"kind": "canceled by cog"}, "ours": {"status": "canceled", "error": ...}, "because": "OWN_CANCELATION"},
    {"input": {"kind": "timeout"}},
    {"input": {"kind": "fine"}},
    {
        "input": {"kind": "exit"},
        "cog_hangs": True,
        "ours": {
            "error": "Prediction failed: Async prediction failed: SystemExit: ",
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
