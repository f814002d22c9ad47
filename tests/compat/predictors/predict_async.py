"""An asynchronous `predict`, in which a task that it starts goes on between predictions."""

import asyncio

from cog import BasePredictor


class Predictor(BasePredictor):
    async def setup(self) -> None:
        self.ready = asyncio.Event()
        self.ticks = 0

    async def predict(self, name: str) -> str:
        await asyncio.sleep(0)
        task = asyncio.create_task(self._tick())
        await task
        return f"hello {name} {self.ticks} {asyncio.current_task() is not None}"

    async def _tick(self) -> None:
        self.ticks += 1


REQUESTS = [
    {"input": {"name": "world"}},
    {"input": {"name": "again"}},
    {"input": {"name": None}},
]
