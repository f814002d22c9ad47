"""A class whose `__init__` raises."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def __init__(self) -> None:
        raise ValueError("no instance")

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
                    '  File "folder/predict.py", line 8, in __init__\n'
                    '    raise ValueError("no instance")\n'
                    "ValueError: no instance\n"
                ),
            }
        },
        "because": "SETUP_LOGS",
    },
    {"input": {}},
]
