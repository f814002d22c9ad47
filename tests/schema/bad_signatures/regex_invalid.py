from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, name: str = Input(regex="[a-z")) -> str:
        raise NotImplementedError


ERROR = (
    "regex_invalid.py:5: name: regex='[a-z' is no regular expression: unterminated character set at position "
    "0. Correct it."
)
