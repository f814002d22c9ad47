"""URLs in inputs that are no files stay as they are."""

from typing import Any

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, text: str, texts: list[str], table: dict, anything: Any) -> Any:
        return [text, texts, table, anything]


REQUESTS = [
    {
        "input": {
            "text": "http://127.0.0.1:1/a",
            "texts": ["data:,a"],
            "table": {"a": "data:,a"},
            "anything": {"b": "https://127.0.0.1:1/b"},
        }
    },
]
