"""A module that calls `sys.exit` while it is imported."""

import sys

from cog import BasePredictor

sys.exit(4)


class Predictor(BasePredictor):
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
                    '  File "folder/predict.py", line 7, in <module>\n'
                    "    sys.exit(4)\n"
                    "SystemExit: 4\n"
                ),
            }
        },
        "because": "SETUP_LOGS",
    },
    {"input": {}},
]
