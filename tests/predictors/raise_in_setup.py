"""Fails in `setup`, after it has printed something."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("loading weights")
        raise RuntimeError("the weights are gone")

    def predict(self) -> str:
        return "never"
