from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, scale: float = Input(default=20.5, ge=1, le=20)) -> str:
        raise NotImplementedError


ERROR = (
    "default_above_le.py:5: scale: the default 20.5 breaks its own rule: 20.5 is greater than the maximum of "
    "20. Change the default, or the rule."
)
