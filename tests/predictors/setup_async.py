"""Its setup is asynchronous and leaves a task behind, which goes on in the event loop of the predictions."""

import asyncio

from cog import BasePredictor


class Predictor(BasePredictor):
    async def setup(self) -> None:
        self.requests = asyncio.Queue()
        self.task = asyncio.create_task(self.serve())
        await asyncio.sleep(0)

    async def serve(self) -> None:
        while True:
            number, answer = await self.requests.get()
            answer.set_result(number * 2)

    async def predict(self, number: int) -> int:
        answer = asyncio.get_running_loop().create_future()
        await self.requests.put((number, answer))
        return await answer


class Synchronous(BasePredictor):
    async def setup(self) -> None:
        await asyncio.sleep(0)
        self.factor = 2

    def predict(self, number: int) -> int:
        return number * self.factor
