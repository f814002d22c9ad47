"""Other things with fields: dataclasses, named tuples, subclasses, models in containers."""

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any, TypedDict

from cog import BaseModel, BasePredictor
from pydantic import BaseModel as Pydantic
from pydantic import RootModel


@dataclass
class Point:
    x: int
    y: int = 2
    hidden: list = field(default_factory=list, repr=False)


class Base(BaseModel):
    a: int


class Derived(Base):
    b: str


class Model(Pydantic):
    point: Point


class Typed(TypedDict):
    a: int


Pair = namedtuple("Pair", ["left", "right"])

VALUES = {
    "dataclass": lambda: Point(1),
    "derived": lambda: Derived(a=1, b="x"),
    "named tuple": lambda: Pair(1, Pair(2, 3)),
    "pydantic of dataclass": lambda: Model(point=Point(1)),
    "root model": lambda: RootModel[list[int]]([1, 2]),
    "typed dict": lambda: Typed(a=1),
    "ordered dict": lambda: OrderedDict(b=1, a=2),
    "default dict": lambda: defaultdict(list, a=[1]),
    "list of models": lambda: [Base(a=1), Derived(a=2, b="y")],
    "dict of models": lambda: {"m": Base(a=1), "p": Point(3)},
    "class": lambda: Point,
    "model class": lambda: Model,
    "namespace": lambda: SimpleNamespace(a=1),
    "mapping proxy": lambda: MappingProxyType({"a": 1}),
}


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Any:
        return VALUES[kind]()


REQUESTS = [
    {"input": {"kind": "dataclass"}},
    {"input": {"kind": "derived"}},
    {"input": {"kind": "named tuple"}},
    {"input": {"kind": "pydantic of dataclass"}},
    {"input": {"kind": "root model"}},
    {"input": {"kind": "typed dict"}},
    {"input": {"kind": "ordered dict"}},
    {"input": {"kind": "default dict"}},
    {"input": {"kind": "list of models"}},
    {"input": {"kind": "dict of models"}},
    {"input": {"kind": "class"}},
    {
        "input": {"kind": "model class"},
        "ours": {
            "error": "Prediction failed: Failed to serialize output: TypeError: Object of type ModelMetaclass is not JSON serializable"
        },
        "because": "OUTPUT_ERRORS",
    },
    {"input": {"kind": "namespace"}},
    {"input": {"kind": "mapping proxy"}},
]
