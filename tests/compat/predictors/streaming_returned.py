"""A stream of a predictor that returns its output at once."""

from cog import BasePredictor, streaming


class Predictor(BasePredictor):
    @streaming
    def predict(self, words: list[str]) -> list[str]:
        return words


REQUESTS = [
    {"input": {"words": ["a", "b"]}, "headers": {"Accept": "text/event-stream"}},
    {"input": {"words": []}, "headers": {"Accept": "text/event-stream"}},
]
