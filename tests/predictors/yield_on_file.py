"""Yields two pieces, and a third once a file appears."""

import time
from collections.abc import Iterator
from pathlib import Path

from cog import BasePredictor, Input, current_scope


class Predictor(BasePredictor):
    def predict(self, go: str = Input(description="The file to wait for")) -> Iterator[str]:
        current_scope().record_metric("pieces", 3)
        yield "one"
        yield "two"
        while not Path(go).exists():
            time.sleep(0.005)
        yield "three"
