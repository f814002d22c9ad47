"""A last line without its newline."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str) -> str:
        print(text, end="")
        return text


REQUESTS = [
    {"input": {"text": "first"}, "ours": {"logs": "first"}, "because": "UNFINISHED_LINES"},
    {"input": {"text": "second\n"}, "ours": {"logs": "second\n"}, "because": "UNFINISHED_LINES"},
]
