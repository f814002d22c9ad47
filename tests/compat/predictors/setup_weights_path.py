"""`setup` with weights that are declared as a path."""

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def setup(self, weights: Path) -> None:
        self.weights = weights

    def predict(self) -> str:
        return f"{type(self.weights).__name__} {self.weights}"


ENVIRONMENT = {"COG_WEIGHTS": "weights/here"}

REQUESTS = [{"input": {}}]
