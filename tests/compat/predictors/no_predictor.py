"""A module without what is to be served."""

from cog import BasePredictor


class Another(BasePredictor):
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
                "logs": "predict.py defines no class and no function Predictor. It defines Another: write predict.py:Another.\n",
            }
        },
        "because": "SETUP_LOGS",
    },
    {"input": {}},
]
