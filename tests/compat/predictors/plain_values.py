"""Values that JSON has, from Python's side: also what is empty, large or deep, and subclasses of their types."""

from enum import Enum, IntEnum, StrEnum
from typing import Any

from cog import BasePredictor, Secret


class Colour(Enum):
    RED = "red"
    BLUE = ("b", 1)


class Level(IntEnum):
    HIGH = 3


class Word(StrEnum):
    HELLO = "hello"


class Text(str):
    def __str__(self) -> str:
        return "another"


class Number(int):
    pass


def nested(depth: int) -> list:
    return [nested(depth - 1)] if depth else ["bottom"]


recursive: list = []
recursive.append(recursive)

VALUES = {
    "none": None,
    "true": True,
    "int": 3,
    "big int": 2**63,
    "huge int": 2**70,
    "negative int": -(2**63),
    "negative huge int": -(2**63) - 1,
    "float": 1.5,
    "whole float": 2.0,
    "negative zero": -0.0,
    "tiny float": 5e-324,
    "large float": 1e300,
    "large whole float": 1e16,
    "sum": 0.1 + 0.2,
    "enum": Colour.RED,
    "enum of tuple": Colour.BLUE,
    "int enum": Level.HIGH,
    "str enum": Word.HELLO,
    "str subclass": Text("text"),
    "int subclass": Number(7),
    "tuple": (1, (2, 3)),
    "empty": [[], {}, (), ""],
    "keys": {2: "int", None: "none", True: "bool", 1.5: "float", "s": "str"},
    "enum keys": {Colour.RED: 1, Word.HELLO: 2, Level.HIGH: 3},
    "secret": Secret("hidden"),
    "dict views": {"a": 1}.items(),
    "set": {1},
    "frozenset": frozenset(["a"]),
    "sets inside": {"a": [{1}, {"b": {2}}]},
    "empty set": set(),
    "empty list": [],
    "empty tuple": (),
    "empty dict": {},
    "empty text": "",
    "empty generator": (number for number in ()),
    "list of list": [[]],
    "list of none": [None],
    "deep": nested(50),
    "deeper": nested(120),
    "itself": recursive,
    "large": {"text": "x" * 20_000_000, "list": list(range(1000))},
}


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Any:
        return VALUES[kind]


REQUESTS = [
    {"input": {"kind": "none"}},
    {"input": {"kind": "true"}},
    {"input": {"kind": "int"}},
    {"input": {"kind": "big int"}},
    {"input": {"kind": "huge int"}, "ours": {"output": 1180591620717411303424}, "because": "BIG_INTEGERS"},
    {"input": {"kind": "negative int"}},
    {"input": {"kind": "negative huge int"}, "ours": {"output": -9223372036854775809}, "because": "BIG_INTEGERS"},
    {"input": {"kind": "float"}},
    {"input": {"kind": "whole float"}},
    {"input": {"kind": "negative zero"}},
    {"input": {"kind": "tiny float"}},
    {"input": {"kind": "large float"}},
    {"input": {"kind": "large whole float"}},
    {"input": {"kind": "sum"}},
    {"input": {"kind": "enum"}},
    {"input": {"kind": "enum of tuple"}},
    {"input": {"kind": "int enum"}},
    {"input": {"kind": "str enum"}},
    {"input": {"kind": "str subclass"}},
    {"input": {"kind": "int subclass"}},
    {"input": {"kind": "tuple"}},
    {"input": {"kind": "empty"}},
    {"input": {"kind": "keys"}},
    {"input": {"kind": "enum keys"}},
    {"input": {"kind": "secret"}},
    {"input": {"kind": "dict views"}},
    {"input": {"kind": "set"}},
    {"input": {"kind": "frozenset"}},
    {"input": {"kind": "sets inside"}},
    {"input": {"kind": "empty set"}, "ours": {"output": []}, "because": "EMPTY_OUTPUTS"},
    {"input": {"kind": "empty list"}},
    {"input": {"kind": "empty tuple"}},
    {"input": {"kind": "empty dict"}},
    {"input": {"kind": "empty text"}},
    {"input": {"kind": "empty generator"}},
    {"input": {"kind": "list of list"}},
    {"input": {"kind": "list of none"}},
    {"input": {"kind": "deep"}},
    {"input": {"kind": "deeper"}},
    {"input": {"kind": "large"}},
    {
        "input": {"kind": "itself"},
        "ours": {
            "error": "Prediction failed: Failed to serialize output: ValueError: it is nested deeper than 128 levels, "
            "or contains itself"
        },
        "because": "OUTPUT_ERRORS",
    },
]
