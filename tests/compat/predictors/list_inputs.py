"""Lists as inputs, of choices and of numbers."""

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(
        self,
        names: list[str] = Input(description="Some names"),
        numbers: list[float] = Input(default=[0.5]),
        flags: list[bool] | None = None,
    ) -> str:
        return repr([names, numbers, flags])


REQUESTS = [
    {"input": {"names": ["a", "b"]}},
    {"input": {"names": []}},
    {"input": {"names": ["a"], "numbers": [1, 2.5], "flags": [True]}},
    {"input": {"names": ["a", 2, "c", None]}},
    {"input": {"names": ["a"], "flags": None}},
    {"input": {"names": {"0": "a"}}},
    {"input": {}},
]
