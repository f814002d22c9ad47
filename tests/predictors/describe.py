"""Returns what it was given, with its types, as JSON."""

from typing import Any

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(
        self,
        flag: bool = False,
        scale: float = 1.0,
        words: list[str] = Input(default=[]),
        sizes: list[int] = Input(default=[]),
        either: int | str = Input(default=0),
        options: dict = Input(default={}),
        file: Path | None = Input(default=None),
    ) -> Any:
        given = {"flag": flag, "scale": scale, "words": words, "sizes": sizes, "either": either, "options": options}
        return {**given, "file": file.read_text() if file else None}
