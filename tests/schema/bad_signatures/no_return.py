from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, prompt: str):
        raise NotImplementedError


ERROR = "no_return.py:5: return: it has no type annotation. Write what comes back, such as -> str."
