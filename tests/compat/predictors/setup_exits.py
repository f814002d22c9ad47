"""`setup` calls `sys.exit`."""

import sys

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        sys.exit("no weights")

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
                "logs": (
                    "Traceback (most recent call last):\n"
                    '  File "folder/predict.py", line 10, in setup\n'
                    '    sys.exit("no weights")\n'
                    "SystemExit: no weights\n"
                ),
            }
        },
        "because": "SETUP_LOGS",
    },
    {"input": {}},
]
