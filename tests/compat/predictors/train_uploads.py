"""Weights are put to a URL as pictures are."""

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, data: str) -> str:
        return data


def train(data: str) -> Path:
    weights = Path("weights.safetensors")
    weights.write_text(data)
    return weights


MODE = "train"

UPLOAD_URL = "{host}/stored/"

REQUESTS = [
    {"path": "/trainings", "input": {"data": "x"}},
]
