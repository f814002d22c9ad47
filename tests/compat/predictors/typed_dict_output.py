"""A `TypedDict` as output."""

from typing import NotRequired, TypedDict

from cog import BasePredictor


class Output(TypedDict):
    text: str
    numbers: list[int]
    note: NotRequired[str]


class Predictor(BasePredictor):
    def predict(self, text: str) -> Output:
        return {"text": text, "numbers": [1]}


REQUESTS = [{"input": {"text": "a"}}]
