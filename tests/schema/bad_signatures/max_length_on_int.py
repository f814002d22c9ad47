from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, steps: int = Input(max_length=3)) -> str:
        raise NotImplementedError


ERROR = "max_length_on_int.py:5: steps: max_length=3 is only for strings, and its type is integer. Remove max_length."
