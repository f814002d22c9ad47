"""`setup` takes longer than it may."""

import time

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        time.sleep(600)

    def predict(self) -> str:
        return "never"


ENVIRONMENT = {"COG_SETUP_TIMEOUT": "1"}

REQUESTS = [
    {
        "method": "GET",
        "path": "/health-check",
        "ours": {
            "setup": {
                "status": "failed",
                "started_at": "time",
                "completed_at": "time",
                "logs": "Setup did not finish within 1 s. Allow it more time (COG_SETUP_TIMEOUT).\n",
            }
        },
        "because": "SETUP_LOGS",
    },
    {"input": {}},
]
