from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, prompt: str) -> None:
        raise NotImplementedError


ERROR = "none_return.py:5: return: it is None, so there is nothing to send back. Name what comes back, such as -> str."
