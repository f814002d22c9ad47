from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, name: str = Input(accept="text/plain")) -> str:
        raise NotImplementedError


ERROR = (
    "accept_on_string.py:5: name: accept='text/plain' is only for files, and its type is string. Remove it, or"
    " make the input a Path."
)
