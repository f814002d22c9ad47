from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, Output: str = Input(choices=["a", "b"])) -> str:
        raise NotImplementedError


ERROR = (
    "choices_named_like_component.py:5: Output: a parameter with choices cannot have this name: the OpenAPI "
    "document uses it. Choose another name, such as one in small letters."
)
