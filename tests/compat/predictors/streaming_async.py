"""A stream of an asynchronous generator."""

from collections.abc import AsyncIterator

from cog import BasePredictor, streaming


class Predictor(BasePredictor):
    @streaming
    async def predict(self, text: str) -> AsyncIterator[str]:
        print("before")
        for character in text:
            yield character


REQUESTS = [
    {"input": {"text": "ab"}, "headers": {"Accept": "text/event-stream"}},
    {"input": {"text": ""}, "headers": {"Accept": "text/event-stream"}},
]
