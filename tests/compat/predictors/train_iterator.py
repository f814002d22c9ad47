"""Trainers that yield: what they yielded is a list."""

from typing import Iterator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, data: str) -> str:
        return data


def train(data: str) -> Iterator[str]:
    yield "first"
    if data == "bad":
        raise ValueError("bad data")
    yield data


MODE = "train"

REQUESTS = [
    {"path": "/trainings", "input": {"data": "x"}},
    {"path": "/trainings", "input": {"data": "bad"}},
]
