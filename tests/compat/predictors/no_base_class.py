"""A class that inherits from nothing."""


class Predictor:
    def setup(self):
        self.greeting = "hello"

    def predict(self, name: str) -> str:
        return f"{self.greeting} {name}"


REQUESTS = [{"input": {"name": "world"}}]
