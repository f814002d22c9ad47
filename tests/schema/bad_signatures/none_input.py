from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, nothing: None) -> str:
        raise NotImplementedError


ERROR = (
    "none_input.py:5: nothing: the type NoneType cannot be an input. Name the type of its values, or remove "
    "the parameter."
)
