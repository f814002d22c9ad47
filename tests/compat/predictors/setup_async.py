"""An asynchronous `setup` runs in the loop of the predictions."""

import asyncio

from cog import BasePredictor


class Predictor(BasePredictor):
    async def setup(self) -> None:
        await asyncio.sleep(0.01)
        self.loop = asyncio.get_running_loop()

    async def predict(self) -> bool:
        return asyncio.get_running_loop() is self.loop


REQUESTS = [{"input": {}}]
