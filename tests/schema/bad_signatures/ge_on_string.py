from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, name: str = Input(ge=1)) -> str:
        raise NotImplementedError


ERROR = "ge_on_string.py:5: name: ge=1 is only for numbers, and its type is string. Remove ge."
