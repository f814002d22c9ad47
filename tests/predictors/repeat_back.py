"""Writes its inputs down as Python sees them."""

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(
        self,
        text: str = Input(default="x", description="Any text"),
        n: int = Input(default=1, ge=0, le=10, description="A small number"),
        f: float = Input(default=0.0, description="Any number"),
    ) -> str:
        return f"{text}:{n!r}:{f!r}"
