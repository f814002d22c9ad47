"""A model that has no trainer: a training is a prediction."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, name: str) -> str:
        return f"hello {name}"


REQUESTS = [
    {"method": "GET", "path": "/"},
    {"path": "/trainings", "input": {"name": "x"}},
    {"path": "/trainings", "input": {}},
    {"path": "/trainings", "body": {"id": "t", "input": {"name": "x", "unknown": 1}}},
    {"method": "PUT", "path": "/trainings/t", "input": {"name": "x"}},
    {"method": "PUT", "path": "/trainings/t", "body": {"id": "u"}},
    {"path": "/trainings", "input": {"name": "x"}, "headers": {"Accept": "text/event-stream"}},
    {"path": "/trainings/t/cancel"},
]
