from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, words: list[str | None]) -> str:
        raise NotImplementedError


ERROR = (
    "list_of_optional.py:5: words: the items of list[str | None] may be None, which no request can send. Write"
    " list[str]."
)
