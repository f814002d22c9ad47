"""Models of pydantic as output."""

from datetime import datetime
from enum import Enum
from typing import Any

from cog import BasePredictor
from pydantic import BaseModel, Field


class Colour(Enum):
    RED = "red"


class Inner(BaseModel):
    colour: Any = Colour.RED
    when: Any = datetime(2026, 1, 2, 3, 4, 5)


class Output(BaseModel):
    text: str = Field(alias="the_text")
    inner: Inner = Inner()
    numbers: list[float] = [1.0, 2.5]
    anything: Any = None


class Predictor(BasePredictor):
    def predict(self, text: str) -> Output:
        return Output(the_text=text, anything={"a": (1, 2)})


REQUESTS = [
    {"input": {"text": "a"}},
    {"input": {"text": ""}},
]
