"""`Any` as output: JSON of every kind comes back as it was."""

from typing import Any

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, value: Any) -> Any:
        return value


REQUESTS = [
    {"input": {"value": {"b": 1, "a": [1.0, None, True, {"c": "d"}]}}},
    {"input": {"value": {}}},
]
