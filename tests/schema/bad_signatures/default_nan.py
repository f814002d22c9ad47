from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, scale: float = float("nan")) -> str:
        raise NotImplementedError


ERROR = (
    "default_nan.py:5: scale: the default nan is not JSON, so no client could see it. Use a literal, or None "
    "and make the value in the function."
)
