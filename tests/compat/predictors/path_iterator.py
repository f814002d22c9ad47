"""A generator of files that writes each over the one before: all come out as they were when they were yielded."""

import tempfile
import time
from collections.abc import Iterator

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, count: int) -> Iterator[Path]:
        path = Path(tempfile.mkdtemp()) / "frame.txt"
        for number in range(count):
            path.write_text(f"frame {number}")
            yield path
            time.sleep(0.2)


REQUESTS = [
    {"input": {"count": 3}},
    {"input": {"count": 0}},
]
