"""The same from an asynchronous `predict`."""

from typing import Any

from cog import BasePredictor


class Predictor(BasePredictor):
    async def predict(self, kind: str) -> Any:
        return {"list": [], "none": None, "list of list": [[]], "two": [1, 2]}[kind]


REQUESTS = [
    {"input": {"kind": "list"}},
    {"input": {"kind": "none"}},
    {"input": {"kind": "list of list"}},
    {"input": {"kind": "two"}},
]
