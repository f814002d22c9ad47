from typing import Annotated

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, steps: Annotated[int, Input(ge=1, le=50)] = 20) -> str:
        raise NotImplementedError


ERROR = (
    "input_in_annotated.py:7: steps: an Input(...) inside of Annotated[int, ...] is not read. Write it as the default "
    "value: int = Input(...)."
)
