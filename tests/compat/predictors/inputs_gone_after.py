"""The files of a prediction's inputs are gone when the next one runs, however it ended."""

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.last = None

    def predict(self, file: Path, fail: bool = False) -> str:
        before, self.last = self.last, file
        if fail:
            raise ValueError("on purpose")
        return f"{before and before.exists()} {file.exists()}"


REQUESTS = [
    {"input": {"file": "data:,a"}},
    {"input": {"file": "data:,b", "fail": True}},
    {"input": {"file": "data:,c"}},
]
