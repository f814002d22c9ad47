from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, steps: int = Input(regex="[0-9]")) -> str:
        raise NotImplementedError


ERROR = "regex_on_int.py:5: steps: regex='[0-9]' is only for strings, and its type is integer. Remove regex."
