"""An asynchronous `healthcheck` of an asynchronous predictor."""

import asyncio

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.answer = True

    async def healthcheck(self) -> bool:
        await asyncio.sleep(0)
        if self.answer is None:
            raise ValueError("hc boom")
        return self.answer

    async def predict(self, answer: bool | None = None) -> str:
        self.answer = answer
        return f"{answer}"


REQUESTS = [
    {"method": "GET", "path": "/health-check"},
    {"input": {"answer": False}},
    {"method": "GET", "path": "/health-check"},
    {"input": {}},
    {"method": "GET", "path": "/health-check"},
]
