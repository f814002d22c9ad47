"""How `predict` sees inputs of each plain type; JSON's own types are kept."""

from typing import Any

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(
        self,
        text: str = "text",
        whole: int = 1,
        number: float = 1.5,
        flag: bool = False,
        texts: list[str] = Input(default=["a"]),
        wholes: list[int] = Input(default=[1, 2]),
        table: dict = Input(default={"a": 1}),
        anything: Any = Input(default=None),
    ) -> str:
        return repr([text, whole, number, flag, texts, wholes, table, anything])


REQUESTS = [
    {"input": {}},
    {"input": {"text": "", "whole": 0, "number": 0, "flag": True, "texts": [], "wholes": [], "table": {}}},
    {"input": {"whole": 3.0}},
    {"input": {"number": 2}},
    {"input": {"number": -1e-7}},
    {"input": {"whole": 9007199254740993}},
    {"input": {"whole": 18446744073709551616}},
    {"input": {"whole": -9223372036854775809}},
    {"input": {"table": {"a": {"b": [1, None, True, 1.0]}}}},
    {"input": {"anything": {"a": 1}}},
    {"input": {"anything": [1]}},
    {"input": {"anything": None}},
    {"input": {"text": None}},
    {"input": {"whole": True}},
    {"input": {"whole": "1"}},
    {"input": {"flag": 1}},
    {"input": {"flag": "true"}},
    {"input": {"texts": "a"}},
    {"input": {"texts": [1]}},
    {"input": {"wholes": [1.0, 2]}},
    {"input": {"wholes": [1.5]}},
    {"input": {"table": []}},
    {"input": {"text": 1, "whole": "a", "number": "b", "flag": "c"}},
    {"input": []},
    {"input": "text"},
    {"body": {"input": None}},
]
