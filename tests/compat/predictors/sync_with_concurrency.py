"""A synchronous predictor that is told to run several predictions at once."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> str:
        return "never"


ENVIRONMENT = {"COG_MAX_CONCURRENCY": "2"}

REQUESTS = [
    {
        "method": "GET",
        "path": "/health-check",
        "ours": {
            "setup": {
                "status": "failed",
                "started_at": "time",
                "completed_at": "time",
                "logs": "A concurrency of 2 (COG_MAX_CONCURRENCY > 1) requires an async run() or predict() method, and Predictor.predict is not async. Make it so, or set the concurrency to 1.\n",
            }
        },
        "because": "SETUP_LOGS",
    },
    {"input": {}},
]
