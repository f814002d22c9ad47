"""Predicts and trains: a training writes weights and says how it went."""

import tempfile
import time
from pathlib import Path as PlainPath

from cog import BaseModel, BasePredictor, Input, Path, current_scope


class TrainingOutput(BaseModel):
    weights: Path
    steps: int


class Predictor(BasePredictor):
    def predict(self, prompt: str = "a", data: str = Input(default="none", max_length=20)) -> str:
        return f"predicted {prompt} from {data}"


def train(
    data: Path = Input(description="What to learn from"),
    steps: int = Input(default=2, ge=1, le=5),
    go: str = Input(default="", description="Wait until this file exists"),
) -> TrainingOutput:
    print(f"learning from {data.read_text()}")
    if go:
        PlainPath(f"{go}.begun").touch()
        while not PlainPath(go).exists():
            time.sleep(0.01)
    current_scope().record_metric("loss", 1 / steps)
    weights = Path(tempfile.mkdtemp()) / "weights.txt"
    weights.write_text(data.read_text() * steps)
    return TrainingOutput(weights=Path(weights), steps=steps)
