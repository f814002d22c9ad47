from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, steps: int = "many") -> str:
        raise NotImplementedError


ERROR = (
    "default_of_wrong_type.py:5: steps: the default 'many' breaks its own rule: \"many\" is not of type "
    '"integer". Change the default, or the rule.'
)
