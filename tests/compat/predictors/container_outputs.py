"""A dict of lists as output."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, words: list[str]) -> dict[str, list[int]]:
        return {word: [len(word)] * 2 for word in words}


REQUESTS = [
    {"input": {"words": ["a", "bcd"]}},
    {"input": {"words": []}},
    {"input": {"words": ["a", 1]}},
    {"input": {"words": "a"}},
]
