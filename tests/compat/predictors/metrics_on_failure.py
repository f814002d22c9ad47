"""Metrics are kept when the prediction fails; the next one starts without them."""

from collections.abc import Iterator

from cog import BasePredictor, current_scope


class Predictor(BasePredictor):
    def predict(self, fail: bool) -> Iterator[str]:
        self.record_metric("before", 1)
        yield "a"
        current_scope().record_metric("after", 2)
        if fail:
            raise ValueError("on purpose")


REQUESTS = [
    {"input": {"fail": True}},
    {"input": {"fail": False}},
]
