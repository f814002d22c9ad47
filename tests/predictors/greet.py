"""Returns text made of its inputs."""

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, name: str = Input(description="Whom to greet"), times: int = Input(default=1, ge=1, le=3)) -> str:
        return " ".join([f"hello {name}"] * times)
