from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, count: int = Input(choices=[0, True])) -> str:
        raise NotImplementedError


ERROR = (
    "choices_bool_among_ints.py:5: count: the choice True is a bool, and the type is integer. Make every "
    "choice of the input's own type."
)
