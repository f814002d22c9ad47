"""Inputs whose names mean something to a server."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(
        self, id: str, input: str, output: int = 1, status: str = "s", context: str = "c", kwargs: str = "k"
    ) -> str:
        return repr([id, input, output, status, context, kwargs])


REQUESTS = [
    {"input": {"id": "a", "input": "b"}},
    {"body": {"id": "mine", "input": {"id": "a", "input": "b", "status": "x", "kwargs": "y", "self": "z"}}},
]
