"""A plain asynchronous function."""

import asyncio


async def predict(name: str) -> str:
    await asyncio.sleep(0)
    return f"hello {name}"


REQUESTS = [{"input": {"name": "world"}}]
