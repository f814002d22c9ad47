"""Uploads to a server that does not say where files are: their place is where they were put."""

from collections.abc import Iterator

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, count: int) -> Iterator[Path]:
        for number in range(count):
            path = Path(f"{number}.txt")
            path.write_text(f"file {number}")
            yield path


UPLOAD_URL = "{host}/kept/here"

REQUESTS = [
    {"input": {"count": 1}},
    {"input": {"count": 0}},
]
