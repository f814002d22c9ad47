"""Annotations that are text until somebody asks."""

from __future__ import annotations

from typing import Iterator, Optional

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, text: str, count: Optional[int] = Input(default=None, ge=1)) -> Iterator[str]:
        for number in range(count or 1):
            yield f"{text} {number}"


REQUESTS = [
    {"input": {"text": "a"}},
    {"input": {"text": "a", "count": 2}},
    {"input": {"text": "a", "count": 0}},
    {"input": {"text": "a", "count": None}},
]
