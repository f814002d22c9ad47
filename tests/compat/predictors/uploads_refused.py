"""Uploads that are refused fail the prediction."""

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self) -> Path:
        path = Path("a.txt")
        path.write_text("content")
        return path


UPLOAD_URL = "{host}/status/403/"

REQUESTS = [{"input": {}}]
