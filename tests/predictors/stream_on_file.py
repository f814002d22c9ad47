"""Writes, records and yields, and ends once a file appears; may be streamed."""

import time
from collections.abc import Iterator
from pathlib import Path

from cog import BasePredictor, Input, current_scope, streaming


class Predictor(BasePredictor):
    @streaming
    def predict(self, go: str = Input(default="", description="The file to wait for")) -> Iterator[str]:
        print("first")
        current_scope().record_metric("temp", 0.5)
        current_scope().record_metric("count", 1, mode="incr")
        yield "one"
        while go and not Path(go).exists():
            time.sleep(0.005)
        current_scope().record_metric("count", 2, mode="incr")
        print("last")
        yield "two"
