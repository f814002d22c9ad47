"""Runs the Python that it is given, and yields what the generator function `items` in it yields."""

from collections.abc import Iterator
from typing import Any

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, code: str) -> Iterator[Any]:
        names = {"self": self}
        exec(code, names)
        yield from names["items"]()
