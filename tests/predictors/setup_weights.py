"""Returns the weights that its setup was given."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self, weights="in the source") -> None:
        self.weights = repr(weights)

    def predict(self) -> str:
        return self.weights
