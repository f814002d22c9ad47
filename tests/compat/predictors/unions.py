"""Unions and optional unions."""

from typing import Optional, Union

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(
        self,
        either: Union[int, str],
        maybe: Optional[Union[float, bool]] = Input(default=None),
        pipe: int | str | None = None,
    ) -> str:
        return repr([either, maybe, pipe])


REQUESTS = [
    {"input": {"either": 1}},
    {"input": {"either": "1"}},
    {"input": {"either": 1.5}},
    {"input": {"either": []}},
    {"input": {"either": 1, "maybe": True, "pipe": "x"}},
    {"input": {"either": 1, "maybe": "x"}},
    {"input": {"either": 1, "maybe": None}},
]
