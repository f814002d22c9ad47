"""A `healthcheck` of several opinions."""

from cog import BasePredictor


class Odd(Exception):
    pass


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.answer = "True"

    def healthcheck(self):
        if self.answer == "raise":
            raise Odd("hc boom")
        if self.answer == "exit":
            raise SystemExit(3)
        return eval(self.answer)

    def predict(self, answer: str) -> str:
        self.answer = answer
        return answer


REQUESTS = [
    {"method": "GET", "path": "/health-check"},
    {"input": {"answer": "None"}},
    {"method": "GET", "path": "/health-check"},
    {"input": {"answer": "0"}},
    {"method": "GET", "path": "/health-check"},
    {"input": {"answer": "''"}},
    {"method": "GET", "path": "/health-check"},
    {"input": {"answer": "False"}},
    {"method": "GET", "path": "/health-check"},
    {"input": {"answer": "raise"}},
    {"method": "GET", "path": "/health-check"},
    {"input": {"answer": "True"}},
    {"method": "GET", "path": "/health-check"},
]
