"""The older base class with the newer method."""

from cog import BasePredictor


class Predictor(BasePredictor):
    def run(self, name: str) -> str:
        return f"hello {name}"


REQUESTS = [{"input": {"name": "world"}}]
