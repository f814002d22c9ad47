from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, flag: bool = Input(choices=[True, False])) -> str:
        raise NotImplementedError


ERROR = (
    "choices_on_bool.py:5: flag: choices are only for strings and numbers, and its type is boolean. Remove "
    "choices, or use str."
)
