from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, name: str = Input(default="abc", max_length=2)) -> str:
        raise NotImplementedError


ERROR = (
    "default_too_long.py:5: name: the default 'abc' breaks its own rule: \"abc\" is longer than 2 characters. "
    "Change the default, or the rule."
)
