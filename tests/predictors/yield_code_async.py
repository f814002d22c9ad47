"""Runs the Python that it is given, and yields what the asynchronous generator function `items` in it yields."""

from collections.abc import AsyncIterator
from typing import Any

from cog import BasePredictor, concurrent


class Predictor(BasePredictor):
    @concurrent(max=4)
    async def predict(self, code: str) -> AsyncIterator[Any]:
        names = {"self": self}
        exec(code, names)
        async for item in names["items"]():
            yield item
