"""Lists as output, the empty one among them."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, count: int) -> list[str]:
        return [str(number) for number in range(count)]


REQUESTS = [
    {"input": {"count": 2}},
    {"input": {"count": 1}},
    {"input": {"count": 0}},
]
