from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, size: str = Input(choices=["small", 2])) -> str:
        raise NotImplementedError


ERROR = (
    "choices_mixed.py:5: size: the choice 2 is a int, and the type is string. Make every choice of the input's"
    " own type."
)
