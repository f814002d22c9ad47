"""Predicts and trains, with inputs that have nothing in common."""

from cog import BaseModel, BasePredictor, Input


class TrainingOutput(BaseModel):
    losses: list[float]


class Predictor(BasePredictor):
    def predict(self, prompt: str) -> str:
        return prompt.upper()


def train(steps: int = Input(ge=1, le=5)) -> TrainingOutput:
    return TrainingOutput(losses=[1 / step for step in range(1, steps + 1)])
