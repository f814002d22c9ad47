"""Values that are not JSON fail the prediction, wherever they are."""

import datetime
import decimal
import fractions
import re
import uuid
from typing import Any

from cog import BasePredictor


class Thing:
    def __repr__(self) -> str:
        return "a thing"


VALUES = {
    "bytes": b"a",
    "bytearray": bytearray(b"a"),
    "nan": float("nan"),
    "infinity": float("inf"),
    "nan inside": {"a": [float("nan")]},
    "datetime": datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
    "datetime with zone": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    "date": datetime.date(2026, 1, 2),
    "time": datetime.time(1, 2),
    "timedelta": datetime.timedelta(1),
    "decimal": decimal.Decimal("1.5"),
    "fraction": fractions.Fraction(1, 2),
    "complex": 1j,
    "uuid": uuid.UUID(int=1),
    "object": Thing(),
    "object inside": {"a": [1, Thing()]},
    "class": Thing,
    "function": print,
    "module": re,
    "exception": ValueError("a"),
    "ellipsis": ...,
    "tuple key": {(1, 2): 3},
    "bytes key": {b"a": 3},
    "surrogate": "\ud800",
    "surrogate key": {"\ud800": 1},
}


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Any:
        return VALUES[kind]


REQUESTS = [
    {"input": {"kind": "bytes"}},
    {"input": {"kind": "bytearray"}},
    {
        "input": {"kind": "nan"},
        "ours": {
            "error": "Prediction failed: Failed to serialize output: TypeError: Object of type float is not JSON serializable where it is nan"
        },
        "because": "OUTPUT_ERRORS",
    },
    {
        "input": {"kind": "infinity"},
        "ours": {
            "error": "Prediction failed: Failed to serialize output: TypeError: Object of type float is not JSON serializable where it is inf"
        },
        "because": "OUTPUT_ERRORS",
    },
    {
        "input": {"kind": "nan inside"},
        "ours": {
            "error": "Prediction failed: Failed to serialize output: TypeError: Object of type float is not JSON serializable where it is nan"
        },
        "because": "OUTPUT_ERRORS",
    },
    {"input": {"kind": "datetime"}},
    {"input": {"kind": "datetime with zone"}},
    {"input": {"kind": "date"}},
    {"input": {"kind": "time"}},
    {"input": {"kind": "timedelta"}},
    {"input": {"kind": "decimal"}},
    {"input": {"kind": "fraction"}},
    {"input": {"kind": "complex"}},
    {"input": {"kind": "uuid"}},
    {"input": {"kind": "object"}},
    {"input": {"kind": "object inside"}},
    {"input": {"kind": "class"}},
    {"input": {"kind": "function"}},
    {"input": {"kind": "module"}},
    {"input": {"kind": "exception"}},
    {"input": {"kind": "ellipsis"}},
    {"input": {"kind": "tuple key"}},
    {"input": {"kind": "bytes key"}},
    {
        "input": {"kind": "surrogate"},
        "ours": {
            "error": "Prediction failed: Failed to serialize output: UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed"
        },
        "because": "OUTPUT_ERRORS",
    },
    {
        "input": {"kind": "surrogate key"},
        "ours": {
            "error": "Prediction failed: Failed to serialize output: UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed"
        },
        "because": "OUTPUT_ERRORS",
    },
]
