"""What is kept on the object, in the module and in the environment stays between predictions."""

import os

from cog import BasePredictor

calls = 0


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.seen = []

    def predict(self, name: str) -> dict:
        global calls
        calls += 1
        self.seen.append(name)
        os.environ["COUNT"] = str(calls)
        return {"calls": calls, "count": os.environ["COUNT"], "seen": self.seen}


REQUESTS = [
    {"input": {"name": "a"}},
    {"input": {"name": "b"}},
]
