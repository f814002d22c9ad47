from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> str | int:
        raise NotImplementedError


ERROR = "union_return.py:5: return: an output cannot be a union, as str | int is. Write one type; Any fits every value."
