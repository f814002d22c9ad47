"""An asynchronous trainer that yields."""

from typing import AsyncIterator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, data: str) -> str:
        return data


async def train(data: str) -> AsyncIterator[str]:
    yield "first"
    yield data


MODE = "train"

REQUESTS = [
    {
        "path": "/trainings",
        "input": {"data": "x"},
        "ours": {"status": "succeeded", "output": ["first", "x"], "error": ...},
        "because": "TRAINERS",
    },
]
