from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, steps: int = Input(default=0, ge=1, le=100)) -> str:
        raise NotImplementedError


ERROR = (
    "default_below_ge.py:5: steps: the default 0 breaks its own rule: 0 is less than the minimum of 1. Change "
    "the default, or the rule."
)
