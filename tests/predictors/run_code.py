"""Runs the Python that it is given, and returns what that calls `result`."""

from typing import Any

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, code: str) -> Any:
        names = {"self": self}
        exec(code, names)
        return names.get("result")
