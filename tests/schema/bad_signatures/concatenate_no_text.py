from cog import BasePredictor, ConcatenateIterator


class Predictor(BasePredictor):
    def predict(self) -> ConcatenateIterator[int]:
        raise NotImplementedError


ERROR = (
    "concatenate_no_text.py:5: return: ConcatenateIterator[int] yields no text; its items are shown as one "
    "string. Yield str, or write Iterator[int]."
)
