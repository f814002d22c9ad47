"""`AsyncConcatenateIterator`."""

from cog import AsyncConcatenateIterator, BasePredictor


class Predictor(BasePredictor):
    async def predict(self, text: str) -> AsyncConcatenateIterator[str]:
        for piece in text.split("|"):
            yield piece


REQUESTS = [
    {"input": {"text": "a|b||c"}},
    {"input": {"text": ""}},
]
