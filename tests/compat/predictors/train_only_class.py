"""A trainer that can do nothing else, as Cog's documents have it."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, data: str) -> str:
        return data


class Trainer:
    def train(self, data: str) -> str:
        return f"trained on {data}"


MODE = "train"

REQUESTS = [
    {
        "method": "GET",
        "path": "/health-check",
        "ours": {
            "setup": {"status": "succeeded", "started_at": "time", "completed_at": "time", "logs": ""},
            "status": "READY",
        },
        "because": "TRAINERS",
    },
]
