"""`@streaming`: server-sent events for who asks for them, the same JSON as ever for who does not."""

from collections.abc import Iterator

from cog import BasePredictor, streaming


class Predictor(BasePredictor):
    @streaming
    def predict(self, text: str) -> Iterator[str]:
        self.record_metric("count", 1, mode="incr")
        self.record_metric("list", "a", mode="append")
        self.record_metric("deleted", 1)
        self.scope.metrics["deleted"] = None
        for character in text:
            print(f"log {character}")
            yield character
            if character == "!":
                raise ValueError("exclaimed")


REQUESTS = [
    {"input": {"text": "abc"}},
    {"input": {"text": "abc"}, "headers": {"Accept": "text/event-stream"}},
    {"input": {"text": ""}, "headers": {"Accept": "text/event-stream"}},
    {"input": {"text": "a!"}, "headers": {"Accept": "text/event-stream"}},
    {"input": {"text": "é\t"}, "headers": {"Accept": "text/html, text/event-stream;q=0.5"}},
    {"input": {"text": 1}, "headers": {"Accept": "text/event-stream"}},
    {"input": {"text": "a"}, "headers": {"Accept": "*/*"}},
    {"input": {"text": "a"}, "headers": {"Accept": "text/*"}},
    {"input": {"text": "a"}, "headers": {"Accept": "text/event-stream", "Prefer": "respond-async"}},
    {"input": {"text": "a"}, "headers": {"Accept": "text/event-stream"}, "method": "PUT", "path": "/predictions/x"},
    {"method": "GET", "path": "/openapi.json"},
]
