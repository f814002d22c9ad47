"""A trainer that is a class: it is set up, and keeps what it has."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, data: str) -> str:
        return f"predicted {data}"


class Trainer(BasePredictor):
    def setup(self) -> None:
        self.seen = []

    def predict(self, data: str) -> str:
        return "never"

    def train(self, data: str) -> list[str]:
        self.seen.append(data)
        return self.seen


MODE = "train"

REQUESTS = [
    {"path": "/trainings", "input": {"data": "x"}},
    {"path": "/trainings", "input": {"data": "y"}},
    {"path": "/predictions", "input": {"data": "z"}},
    {"path": "/trainings", "input": {"data": 1}},
]
