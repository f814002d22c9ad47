from typing import Literal

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, mode: Literal["fast", "slow"]) -> str:
        raise NotImplementedError


ERROR = (
    "literal_input.py:7: mode: the type Literal['fast', 'slow'] cannot be an input. Write the type of its "
    "values, and Input(choices=[...])."
)
