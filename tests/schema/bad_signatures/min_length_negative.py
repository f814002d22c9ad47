from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, name: str = Input(min_length=-1)) -> str:
        raise NotImplementedError


ERROR = "min_length_negative.py:5: name: min_length=-1 is no length. Write min_length= and a whole number from 0 up."
