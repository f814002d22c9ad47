from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, name: str = Input(min_length=8, max_length=2)) -> str:
        raise NotImplementedError


ERROR = (
    "min_length_above_max_length.py:5: name: no string has at least 8 and at most 2 characters. Swap "
    "min_length and max_length."
)
