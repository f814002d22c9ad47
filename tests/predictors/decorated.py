"""Its method is synchronous, and what it returns is not, as a decorator may make it."""

import asyncio
import functools
from collections.abc import AsyncIterator

from cog import BasePredictor


def traced(function):
    @functools.wraps(function)
    def call(*arguments, **inputs):
        return function(*arguments, **inputs)

    return call


class Predictor(BasePredictor):
    @traced
    async def predict(self, number: int) -> int:
        await asyncio.sleep(0)
        return number * 2


class Yielding(BasePredictor):
    @traced
    async def predict(self, number: int) -> AsyncIterator[int]:
        for index in range(number):
            await asyncio.sleep(0)
            yield index
