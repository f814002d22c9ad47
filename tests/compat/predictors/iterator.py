"""A generator: its output is a list of what it yields."""

from collections.abc import Iterator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str, count: int) -> Iterator[str]:
        for number in range(count):
            print(f"yielding {number}")
            yield f"{text} {number}"


REQUESTS = [
    {"input": {"text": "a", "count": 3}},
    {"input": {"text": "a", "count": 1}},
    {"input": {"text": "a", "count": 0}},
    {"input": {"text": "a", "count": 2000}},
]
