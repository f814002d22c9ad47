from collections.abc import Iterator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> Iterator:
        raise NotImplementedError


ERROR = (
    "bare_iterator_return.py:7: return: Iterator does not say what it yields. Write Iterator[str], or the type"
    " of your items."
)
