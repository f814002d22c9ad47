from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, prompt: str, /) -> str:
        raise NotImplementedError


ERROR = "positional_only.py:5: prompt: it can only be passed by position, not by name. Remove the `/`."
