from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, name: str = Input(default="Anna", regex="^[a-z]+$")) -> str:
        raise NotImplementedError


ERROR = (
    "default_against_regex.py:5: name: the default 'Anna' breaks its own rule: \"Anna\" does not match "
    '"^[a-z]+$". Change the default, or the rule.'
)
