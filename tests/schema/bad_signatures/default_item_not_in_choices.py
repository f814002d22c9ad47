from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, tags: list[str] = Input(default=["a", "c"], choices=["a", "b"])) -> str:
        raise NotImplementedError


ERROR = (
    "default_item_not_in_choices.py:5: tags: the default ['a', 'c'] breaks its own rule: \"c\" is not one of "
    '["a","b"]. Change the default, or the rule.'
)
