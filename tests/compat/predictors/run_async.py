"""An asynchronous `run`."""

import asyncio

from cog import BaseRunner


class Runner(BaseRunner):
    async def run(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "awake"


REQUESTS = [
    {"input": {"seconds": 0}},
    {"input": {"seconds": 0.01}},
    {"input": {"seconds": "soon"}},
]
