"""A class that inherits `setup` and `predict` from a base class of its own."""

from cog import BasePredictor


class Base(BasePredictor):
    def setup(self) -> None:
        self.greeting = "hello"

    def predict(self, name: str) -> str:
        return f"{self.greeting} {name} from {type(self).__name__}"


class Predictor(Base):
    pass


REQUESTS = [{"input": {"name": "world"}}]
