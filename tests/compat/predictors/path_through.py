"""An input file handed back as output; Cog mostly removes it before it reads it, but not always."""

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, file: Path) -> Path:
        return file


REQUESTS = [
    {
        "input": {"file": "data:image/png;base64,aGVsbG8="},
        "ours": {"output": "data:image/png;base64,aGVsbG8="},
        "because": "RETURNED_INPUTS",
    },
    {
        "input": {"file": "{host}/hello.txt"},
        "ours": {"output": "data:text/plain;base64,aGVsbG8K"},
        "because": "RETURNED_INPUTS",
    },
]
