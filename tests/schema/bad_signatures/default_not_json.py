from datetime import datetime
from typing import Any

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(self, when: Any = Input(default=datetime(2026, 1, 1))) -> str:
        raise NotImplementedError


ERROR = (
    "default_not_json.py:8: when: the default datetime.date...6, 1, 1, 0, 0) is not JSON, so no client could "
    "see it. Use a literal, or None and make the value in the function."
)
