"""A server that predicts, asked for trainings whose inputs `predict` may or may not take."""

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, data: str, times: int = Input(default=1, ge=1, le=3)) -> str:
        print("predicting")
        return f"predicted {data} " * times


def train(data: str, times: int = Input(default=2, ge=1, le=5), steps: int = 0) -> str:
    return f"trained on {data} " * times


REQUESTS = [
    {"method": "GET", "path": "/"},
    {"path": "/trainings", "input": {"data": "x"}},
    {"path": "/trainings", "input": {"data": "x", "times": 3, "unknown": 1}},
    {"path": "/trainings", "input": {"data": "x", "times": 9}},
    {"path": "/trainings", "input": {}},
    {"method": "PUT", "path": "/trainings/t", "input": {"data": "x"}},
    {"path": "/trainings", "input": {"data": "x"}, "headers": {"Accept": "text/event-stream"}},
    {"path": "/predictions", "input": {"data": "x", "times": 4}},
    {"path": "/predictions", "input": {"data": "x"}},
    {
        "path": "/trainings",
        "input": {"data": "x", "steps": 1},
        "ours": {
            "error": "The inputs do not fit predict, which has no steps. "
            "This server runs every request as a prediction; start one with --x-mode train instead."
        },
        "because": "OTHER_MODE",
    },
    {
        "path": "/trainings",
        "input": {"data": "x", "times": 5},
        "ours": {
            "status": "failed",
            "error": "The inputs do not fit predict: body.input.times: 5 is greater than the maximum of 3. "
            "This server runs every request as a prediction; start one with --x-mode train instead.",
            "output": ...,
            "logs": "",
        },
        "because": "OTHER_MODE",
    },
]
