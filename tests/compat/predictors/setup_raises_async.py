"""An asynchronous `setup` raises."""

from cog import BasePredictor


class Predictor(BasePredictor):
    async def setup(self) -> None:
        raise RuntimeError("setup boom")

    async def predict(self) -> str:
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
                    '  File "folder/predict.py", line 8, in setup\n'
                    '    raise RuntimeError("setup boom")\n'
                    "RuntimeError: setup boom\n"
                ),
            }
        },
        "because": "SETUP_LOGS",
    },
    {"input": {}},
]
