from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(prompt: str) -> str:
        raise NotImplementedError


ERROR = "no_self.py:5: predict: its first parameter is not self. Write def predict(self, ...)."
