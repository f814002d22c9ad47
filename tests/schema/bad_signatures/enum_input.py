from enum import Enum

from cog import BasePredictor


class Color(Enum):
    RED = "red"


class Predictor(BasePredictor):
    def predict(self, color: Color) -> str:
        raise NotImplementedError


ERROR = (
    "enum_input.py:11: color: the type enum_input.Color cannot be an input. Write the type of its values, and "
    "Input(choices=[...])."
)
