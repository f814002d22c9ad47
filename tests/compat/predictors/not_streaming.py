"""Without `@streaming`, and with Darkroom told to do as Cog does, streams are refused."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        return text


ENVIRONMENT = {"DARKROOM_STREAM_ANY": "false"}

REQUESTS = [
    {"input": {"text": "a"}, "headers": {"Accept": "text/event-stream"}},
    {"input": {}, "headers": {"Accept": "text/event-stream"}},
    {"input": {"text": "a"}, "headers": {"Accept": "application/json, text/event-stream"}},
    {"input": {"text": "a"}, "headers": {"Accept": "*/*"}},
    {"input": {"text": "a"}, "method": "PUT", "path": "/predictions/x", "headers": {"Accept": "text/event-stream"}},
]
