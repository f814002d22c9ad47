"""An asynchronous generator."""

import asyncio
from collections.abc import AsyncIterator

from cog import BasePredictor


class Predictor(BasePredictor):
    async def predict(self, count: int) -> AsyncIterator[str]:
        for number in range(count):
            await asyncio.sleep(0)
            print(f"yielding {number}")
            yield f"piece {number}"


REQUESTS = [
    {"input": {"count": 3}},
    {"input": {"count": 0}},
]
