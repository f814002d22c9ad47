"""What is returned is not checked against the annotation."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, kind: str) -> int:
        return {"text": "a", "float": 1.5, "none": None, "list": [1], "bool": True}[kind]


REQUESTS = [
    {"input": {"kind": "text"}},
    {"input": {"kind": "float"}},
    {"input": {"kind": "none"}},
    {"input": {"kind": "list"}},
    {"input": {"kind": "bool"}},
]
