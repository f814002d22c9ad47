from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, words: list[str] = Input(default_factory=list)) -> str:
        raise NotImplementedError


ERROR = (
    "default_factory is not supported in Input(): the default is published before any code runs. Write a "
    "literal, Input(default=...), or None and make the value in predict()."
)
