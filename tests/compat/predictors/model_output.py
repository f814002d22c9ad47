"""Cog's `BaseModel` as output: nested, with optional fields and defaults."""

from typing import Any, Optional

from cog import BaseModel, BasePredictor


class Inner(BaseModel):
    numbers: list[int]
    note: str | None = None


class Output(BaseModel):
    text: str
    score: float
    inner: Inner
    inners: list[Inner]
    table: dict[str, Any]
    maybe: Optional[int] = None
    flag: bool = True


class Predictor(BasePredictor):
    def predict(self, full: bool) -> Output:
        inner = Inner(numbers=[1, 2])
        if not full:
            return Output(text="a", score=1, inner=inner, inners=[], table={})
        return Output(
            text="a",
            score=0.5,
            inner=inner,
            inners=[inner, Inner(numbers=[], note="n")],
            table={"k": [inner]},
            maybe=3,
            flag=False,
        )


REQUESTS = [
    {"input": {"full": True}},
    {"input": {"full": False}},
    {"method": "GET", "path": "/openapi.json"},
]
