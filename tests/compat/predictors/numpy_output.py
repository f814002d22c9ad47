"""Scalars and arrays of numpy."""

from typing import Any

import numpy as np
from cog import BasePredictor

VALUES = {
    "float32": np.float32(0.5),
    "float64": np.float64(0.1),
    "float16": np.float16(1),
    "int64": np.int64(3),
    "uint8": np.uint8(255),
    "bool": np.bool_(True),
    "str": np.str_("a"),
    "array": np.array([[1, 2], [3, 4]]),
    "float array": np.array([0.5, 1.0], dtype=np.float32),
    "bool array": np.array([True, False]),
    "empty array": np.array([]),
    "array of no dimension": np.array(3),
    "inside": {"a": [np.float32(1.5), np.arange(3)]},
    "key": {np.int64(1): "a"},
    "nan": np.float32("nan"),
    "array of nan": np.array([1.0, np.nan]),
    "datetime": np.datetime64("2026-01-02"),
    "complex": np.complex64(1),
    "bytes array": np.array([b"a"]),
    "object array": np.array([{"a": 1}, None], dtype=object),
}


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Any:
        return VALUES[kind]


REQUESTS = [
    {"input": {"kind": "float32"}},
    {"input": {"kind": "float64"}},
    {"input": {"kind": "float16"}},
    {"input": {"kind": "int64"}},
    {"input": {"kind": "uint8"}},
    {
        "input": {"kind": "bool"},
        "ours": {"status": "succeeded", "error": ..., "output": True},
        "because": "MORE_OUTPUTS",
    },
    {"input": {"kind": "str"}},
    {"input": {"kind": "array"}},
    {"input": {"kind": "float array"}},
    {"input": {"kind": "bool array"}},
    {"input": {"kind": "empty array"}, "ours": {"output": []}, "because": "EMPTY_OUTPUTS"},
    {"input": {"kind": "array of no dimension"}},
    {"input": {"kind": "inside"}},
    {
        "input": {"kind": "key"},
        "ours": {
            "error": "Prediction failed: Failed to serialize output: TypeError: keys must be str, int, float, bool or None, not int64"
        },
        "because": "OUTPUT_ERRORS",
    },
    {
        "input": {"kind": "nan"},
        "ours": {
            "error": "Prediction failed: Failed to serialize output: TypeError: Object of type float is not JSON serializable where it is nan"
        },
        "because": "OUTPUT_ERRORS",
    },
    {
        "input": {"kind": "array of nan"},
        "ours": {
            "error": "Prediction failed: Failed to serialize output: TypeError: Object of type float is not JSON serializable where it is nan"
        },
        "because": "OUTPUT_ERRORS",
    },
    {"input": {"kind": "datetime"}},
    {"input": {"kind": "complex"}},
    {"input": {"kind": "bytes array"}},
    {"input": {"kind": "object array"}},
]
