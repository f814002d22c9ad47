"""Returns its text as a file."""

import tempfile

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, text: str = "x") -> Path:
        path = Path(tempfile.mkdtemp()) / "text.txt"
        path.write_text(text)
        return path
