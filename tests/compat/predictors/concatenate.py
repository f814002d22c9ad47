"""`ConcatenateIterator`: the server does not join the pieces, it only says that they may be joined."""

from cog import BasePredictor, ConcatenateIterator


class Predictor(BasePredictor):
    def predict(self, text: str) -> ConcatenateIterator[str]:
        yield from text.split("|")


REQUESTS = [
    {"input": {"text": "a|b||c"}},
    {"input": {"text": ""}},
    {"method": "GET", "path": "/openapi.json"},
]
