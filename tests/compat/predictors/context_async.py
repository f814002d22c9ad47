"""The same for an asynchronous generator, at each step."""

import asyncio
from collections.abc import AsyncIterator

from cog import BasePredictor, current_scope


class Predictor(BasePredictor):
    async def predict(self) -> AsyncIterator[str]:
        for _ in range(2):
            await asyncio.sleep(0)
            yield current_scope().context.get("user", "nobody")


REQUESTS = [
    {"body": {"input": {}, "context": {"user": "a"}}},
    {"body": {"input": {}}},
]
