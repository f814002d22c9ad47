"""Yields a file and two texts, leaves word of it in a folder, and then waits for ever."""

import time
from collections.abc import Iterator
from typing import Any

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, folder: str) -> Iterator[Any]:
        file = Path(folder) / "one.txt"
        file.write_text("one")
        yield file
        yield "two"
        yield "three"
        (Path(folder) / "yielded").touch()
        while True:
            time.sleep(0.005)
