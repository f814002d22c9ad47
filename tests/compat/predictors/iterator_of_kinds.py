"""A generator that yields values of each kind."""

from collections.abc import Iterator
from typing import Any

from cog import BaseModel, BasePredictor


class Item(BaseModel):
    name: str
    number: int


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Iterator[Any]:
        if kind == "models":
            yield Item(name="a", number=1)
            yield Item(name="b", number=2)
        elif kind == "none":
            yield None
            yield None
        elif kind == "lists":
            yield [1, 2]
            yield []
        elif kind == "mixed":
            yield from [1, "a", None, {"b": 2}, True, 1.5]
        elif kind == "returns":
            yield "yielded"
            return "returned"
        elif kind == "generator":
            yield (number for number in range(3))


REQUESTS = [
    {"input": {"kind": "models"}},
    {"input": {"kind": "none"}},
    {"input": {"kind": "lists"}},
    {"input": {"kind": "mixed"}},
    {"input": {"kind": "returns"}},
    {"input": {"kind": "generator"}},
    {"input": {"kind": "nothing"}},
]
