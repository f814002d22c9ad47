"""Fails in `predict`."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, message: str = "boom") -> str:
        print("about to fail")
        raise ValueError(message)
