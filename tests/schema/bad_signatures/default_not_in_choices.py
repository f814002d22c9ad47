from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, size: str = Input(default="medium", choices=["small", "large"])) -> str:
        raise NotImplementedError


ERROR = (
    "default_not_in_choices.py:5: size: the default 'medium' breaks its own rule: \"medium\" is not one of "
    '["small","large"]. Change the default, or the rule.'
)
