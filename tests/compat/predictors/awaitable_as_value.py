"""A synchronous `predict` that returns something to await."""

import asyncio
from typing import Any

from cog import BasePredictor


async def later() -> str:
    await asyncio.sleep(0)
    return "later"


async def pieces():
    yield "a"
    yield "b"


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Any:
        return later() if kind == "coroutine" else pieces()


REQUESTS = [
    {
        "input": {"kind": "coroutine"},
        "ours": {"status": "succeeded", "error": ..., "output": "later"},
        "because": "MORE_OUTPUTS",
    },
    {
        "input": {"kind": "async generator"},
        "ours": {"status": "succeeded", "error": ..., "output": ["a", "b"]},
        "because": "MORE_OUTPUTS",
    },
]
