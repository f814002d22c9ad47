"""Streams what it makes of its words: an object for each, with an enumeration and what may be missing in it."""

from collections.abc import Iterator

from cog import BaseModel, BasePredictor, Input, streaming


class Word(BaseModel):
    text: str
    length: int
    capital: str | None = None


class Predictor(BasePredictor):
    @streaming
    def predict(
        self,
        words: list[str] = Input(default=["one", "two"], description="What is told, word by word"),
        times: int = Input(default=1, choices=[1, 2, 3]),
    ) -> Iterator[Word]:
        for word in words * times:
            yield Word(text=word, length=len(word), capital=word[:1].upper() or None)
