from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, width: int = Input(choices=["small", "large"])) -> str:
        raise NotImplementedError


ERROR = (
    "choices_of_wrong_type.py:5: width: the choice 'small' is a str, and the type is integer. Make every "
    "choice of the input's own type."
)
