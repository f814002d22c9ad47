"""A module that cannot be imported."""

import no_such_module
from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> str:
        return no_such_module.name


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
                    '  File "folder/predict.py", line 3, in <module>\n'
                    "    import no_such_module\n"
                    "ModuleNotFoundError: No module named 'no_such_module'\n"
                ),
            }
        },
        "because": "SETUP_LOGS",
    },
    {"method": "GET", "path": "/openapi.json"},
    {"input": {}},
]
