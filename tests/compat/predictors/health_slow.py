"""A `healthcheck` that takes longer than it may."""

import time

from cog import BasePredictor


class Predictor(BasePredictor):
    def healthcheck(self) -> bool:
        time.sleep(7)
        return True

    def predict(self) -> str:
        return "done"


REQUESTS = [
    {"method": "GET", "path": "/health-check"},
    {"input": {}},
]
