"""Bounds, lengths, patterns and choices."""

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(
        self,
        whole: int = Input(default=5, ge=1, le=10),
        number: float = Input(default=0.5, ge=0.5, le=1.5),
        least: int = Input(default=0, ge=-1),
        text: str = Input(default="abc", min_length=2, max_length=4),
        pattern: str = Input(default="abc", regex="^[a-z]+$"),
        part: str = Input(default="xay", regex="a"),
        choice: str = Input(default="a", choices=["a", "b c", "é"]),
        count: int = Input(default=1, choices=[1, 2, 4]),
        old: str = Input(default="old", deprecated=True),
    ) -> str:
        return repr([whole, number, least, text, pattern, part, choice, count, old])


REQUESTS = [
    {"input": {}},
    {"input": {"whole": 1}},
    {"input": {"whole": 10}},
    {"input": {"whole": 0}},
    {"input": {"whole": 11}},
    {"input": {"number": 1.5}},
    {"input": {"number": 0.49}},
    {"input": {"number": 1.51}},
    {"input": {"least": -2}},
    {"input": {"text": "ab"}},
    {"input": {"text": "a"}},
    {"input": {"text": "abcde"}},
    {"input": {"text": "éé"}},
    {"input": {"text": "🍎🍎🍎🍎"}},
    {"input": {"pattern": "A1"}},
    {"input": {"pattern": "abc\n"}},
    {"input": {"pattern": ""}},
    {"input": {"part": "bbabb"}},
    {"input": {"part": "bbb"}},
    {"input": {"choice": "b c"}},
    {"input": {"choice": "é"}},
    {"input": {"choice": "z"}},
    {"input": {"choice": 1}},
    {"input": {"count": 2}},
    {"input": {"count": 2.0}},
    {"input": {"count": 3}},
    {"input": {"count": "2"}},
    {"input": {"old": "new"}},
    {"input": {"whole": 0, "text": "a", "choice": "z", "number": "x"}},
]
