"""Writes three words, piece by piece."""

from cog import BasePredictor, ConcatenateIterator


class Predictor(BasePredictor):
    def predict(self) -> ConcatenateIterator[str]:
        yield "one "
        yield "two "
        yield "three"
