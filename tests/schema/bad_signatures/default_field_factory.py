from dataclasses import field

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, words: list[str] = Input(default=field(default_factory=list))) -> str:
        raise NotImplementedError


ERROR = (
    "default_field_factory.py:7: words: the default Field(name=No...eld_type=None) is not JSON, so no client "
    "could see it. Use a literal, or None and make the value in the function."
)
