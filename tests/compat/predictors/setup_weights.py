"""`setup` with weights, which come from the environment."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self, weights: str = "default") -> None:
        self.weights = weights

    def predict(self) -> str:
        return f"{type(self.weights).__name__} {self.weights}"


ENVIRONMENT = {"COG_WEIGHTS": "http://example.com/weights"}

REQUESTS = [{"input": {}}]
