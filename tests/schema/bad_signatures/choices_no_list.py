from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, size: str = Input(choices="small")) -> str:
        raise NotImplementedError


ERROR = "choices_no_list.py:5: size: choices='small' is no list. Write choices=[...] with the values allowed."
