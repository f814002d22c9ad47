"""A float as output, also where a whole number is returned."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, value: float) -> float:
        return value * 2


REQUESTS = [
    {"input": {"value": 1.25}},
    {"input": {"value": 1}},
    {"input": {"value": 1.0}},
    {"input": {"value": True}},
    {
        "input": {"value": 1e308},
        "ours": {
            "error": "Prediction failed: Failed to serialize output: TypeError: Object of type float is not JSON serializable where it is inf"
        },
        "because": "OUTPUT_ERRORS",
    },
]
