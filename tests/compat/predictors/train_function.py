"""A server that trains: a function, beside a predictor of which nothing runs."""

from cog import BaseModel, BasePredictor, Input, Path, current_scope


class TrainingOutput(BaseModel):
    weights: Path
    note: str


class Predictor(BasePredictor):
    def setup(self) -> None:
        raise RuntimeError("never set up")

    def predict(self, name: str) -> str:
        return name


def train(
    data: str,
    steps: int = Input(default=2, ge=1, le=5, description="How often"),
    rate: str = Input(default="low", choices=["low", "high"]),
) -> TrainingOutput:
    print("training")
    current_scope().record_metric("loss", 0.5)
    if data == "bad":
        raise ValueError("bad data")
    if data == "exit":
        raise SystemExit(3)
    weights = Path("weights.txt")
    weights.write_text(data * steps)
    return TrainingOutput(weights=weights, note=rate)


MODE = "train"

REQUESTS = [
    {"method": "GET", "path": "/"},
    {"path": "/trainings", "input": {"data": "x"}},
    {"path": "/trainings", "input": {"data": "x", "steps": 3, "rate": "high", "unknown": 1}},
    {"path": "/trainings", "input": {"data": "x", "steps": 9, "rate": "none"}},
    {"path": "/trainings", "input": {"steps": "2"}},
    {"path": "/trainings", "input": {}},
    {"path": "/trainings", "input": []},
    {"path": "/trainings", "body": {}},
    {"path": "/trainings", "body": {"input": None}},
    {"path": "/trainings", "body": {"id": "t", "input": {"data": "x"}}},
    {"path": "/trainings", "body": {"id": 1}},
    {"path": "/trainings", "input": {"data": "bad"}},
    {"path": "/trainings", "input": {"data": "exit"}},
    {"method": "PUT", "path": "/trainings/t", "input": {"data": "x"}},
    {"method": "PUT", "path": "/trainings/t", "body": {"id": "t", "input": {"data": "x"}}},
    {"method": "PUT", "path": "/trainings/t", "body": {"id": "u", "input": {"data": "x"}}},
    {"path": "/trainings", "input": {"data": "x"}, "headers": {"Accept": "text/event-stream"}},
    {"path": "/trainings", "input": {}, "headers": {"Accept": "text/event-stream"}},
    {"path": "/trainings", "body": [], "headers": {"Accept": "text/event-stream"}},
    {
        "method": "PUT",
        "path": "/trainings/t",
        "body": {"id": "u"},
        "headers": {"Accept": "text/event-stream"},
    },
    {"path": "/trainings/t/cancel"},
    {"method": "GET", "path": "/trainings/t/cancel"},
    {"method": "DELETE", "path": "/trainings"},
    {"path": "/trainings/t"},
    {"path": "/trainings/t/u/v"},
    {"path": "/predictions", "input": {"data": "x"}},
    {
        "path": "/predictions",
        "input": {"name": "x"},
        "ours": {
            "error": "The inputs do not fit train: body.input.data: Field required. "
            "This server runs every request as a training; start one with --x-mode predict instead.",
            "metrics": {"predict_time": "seconds"},
        },
        "because": "OTHER_MODE",
    },
]
