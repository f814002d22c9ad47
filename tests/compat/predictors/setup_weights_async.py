"""An asynchronous `setup` with weights."""

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    async def setup(self, weights: Path | None = None) -> None:
        self.weights = weights

    async def predict(self) -> str:
        return f"{type(self.weights).__name__} {self.weights}"


ENVIRONMENT = {"COG_WEIGHTS": "weights/here"}

REQUESTS = [{"input": {}}]
