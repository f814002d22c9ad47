from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, value: int | str = Input(ge=1)) -> str:
        raise NotImplementedError


ERROR = (
    "constraint_on_union.py:5: value: constraints and choices do not work on a union. Check the value in the "
    "function, or use one type."
)
