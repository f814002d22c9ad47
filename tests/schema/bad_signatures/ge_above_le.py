from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, steps: int = Input(ge=10, le=1)) -> str:
        raise NotImplementedError


ERROR = "ge_above_le.py:5: steps: no number is at least 10 and at most 1. Swap ge and le."
