"""Files as inputs of an asynchronous `predict`."""

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    async def predict(self, file: Path, more: list[Path] | None = None) -> list[str]:
        return [path.read_text() for path in [file, *(more or [])]]


REQUESTS = [
    {"input": {"file": "data:text/plain;base64,aGVsbG8="}},
    {"input": {"file": "{host}/hello.txt", "more": ["data:,a", "{host}/hello.txt"]}},
    {"input": {"file": "{host}/nothing.txt"}},
]
