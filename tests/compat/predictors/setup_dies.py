"""`setup` ends the process."""

import os

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        os._exit(3)

    def predict(self) -> str:
        return "never"


REQUESTS = [
    {
        "method": "GET",
        "path": "/health-check",
        "ours": {
            "setup": {
                "status": "failed",
                "started_at": "time",
                "completed_at": "time",
                "logs": "Worker crashed: its process ended with exit status 3. The model's code must not end it, as os._exit() does.\n",
            }
        },
        "because": "SETUP_LOGS",
    },
    {"input": {}},
]
