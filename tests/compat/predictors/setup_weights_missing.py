"""`setup` with weights that nobody gave: not even the default in the source is used."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self, weights="default") -> None:
        self.weights = weights

    def predict(self) -> str:
        return f"{type(self.weights).__name__} {self.weights}"


REQUESTS = [{"input": {}}]
