from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, steps: int = Input(ge="1")) -> str:
        raise NotImplementedError


ERROR = "ge_no_number.py:5: steps: ge='1' is no finite number. Write ge= and a number."
