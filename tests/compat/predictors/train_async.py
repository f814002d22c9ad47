"""An asynchronous trainer."""

import asyncio

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, data: str) -> str:
        return data


async def train(data: str) -> dict:
    await asyncio.sleep(0.01)
    print("training")
    if data == "bad":
        raise ValueError("bad data")
    return {"data": data}


MODE = "train"

REQUESTS = [
    {"path": "/trainings", "input": {"data": "x"}},
    {"path": "/trainings", "input": {"data": "bad"}},
    {"path": "/trainings", "input": {}},
]
