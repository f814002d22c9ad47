from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, name: str = Input(description=5)) -> str:
        raise NotImplementedError


ERROR = "description_no_text.py:5: name: description=5 is no text. Write description= and a string."
