"""`setup` raises."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("setting up")
        raise RuntimeError("setup boom")

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
                    "setting up\n"
                    "Traceback (most recent call last):\n"
                    '  File "folder/predict.py", line 9, in setup\n'
                    '    raise RuntimeError("setup boom")\n'
                    "RuntimeError: setup boom\n"
                ),
            }
        },
        "because": "SETUP_LOGS",
    },
    {"input": {}},
    {"method": "PUT", "path": "/predictions/a", "input": {}},
    {"input": {}, "headers": {"Prefer": "respond-async"}},
    {"method": "POST", "path": "/predictions/a/cancel"},
    {"method": "GET", "path": "/"},
]
