"""An asynchronous `setup` beside a synchronous `predict`."""

import asyncio

from cog import BasePredictor


class Predictor(BasePredictor):
    async def setup(self) -> None:
        await asyncio.sleep(0.01)
        self.name = "set up"

    def predict(self) -> str:
        return self.name


REQUESTS = [{"input": {}}]
