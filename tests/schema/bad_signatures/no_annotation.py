from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, prompt="hello") -> str:
        raise NotImplementedError


ERROR = "no_annotation.py:5: prompt: it has no type annotation. Write prompt: str, or its type."
