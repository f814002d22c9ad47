from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, name: str = Input(default="a", min_length=2)) -> str:
        raise NotImplementedError


ERROR = (
    "default_too_short.py:5: name: the default 'a' breaks its own rule: \"a\" is shorter than 2 characters. "
    "Change the default, or the rule."
)
