"""What `setup` prints belongs to setup; metrics recorded in it go nowhere."""

import sys

from cog import BasePredictor, current_scope


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("setting up")
        print("on stderr", file=sys.stderr)
        current_scope().record_metric("early", 1)
        self.record_metric("early", 2)
        self.context = current_scope().context

    def predict(self) -> dict:
        return self.context


REQUESTS = [
    {"input": {}},
]
