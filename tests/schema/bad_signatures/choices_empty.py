from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, size: str = Input(choices=[])) -> str:
        raise NotImplementedError


ERROR = "choices_empty.py:5: size: choices=[] allows no value at all. List the values allowed, or remove choices."
