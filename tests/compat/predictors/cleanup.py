"""`finally` blocks, context managers and `__del__` run, and are done before the next prediction."""

import gc
from contextlib import contextmanager

from cog import BasePredictor


class Fragile:
    def __del__(self) -> None:
        raise ValueError("in __del__")


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.open = 0

    @contextmanager
    def resource(self):
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1
            print(f"closed, {self.open} open")

    def predict(self, kind: str) -> int:
        with self.resource():
            if kind == "fail":
                raise ValueError("on purpose")
            if kind == "del":
                Fragile()
                gc.collect()
        return self.open


REQUESTS = [
    {"input": {"kind": "fail"}},
    {"input": {"kind": "fine"}},
    {"input": {"kind": "del"}},
]
