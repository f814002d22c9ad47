"""Iterators that are no generators: objects, lists, `map`."""

from collections.abc import Iterator

from cog import BasePredictor


class Countdown:
    def __init__(self, start: int) -> None:
        self.number = start

    def __iter__(self):
        return self

    def __next__(self) -> str:
        if self.number == 0:
            raise StopIteration
        self.number -= 1
        return str(self.number)


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Iterator[str]:
        match kind:
            case "object":
                return Countdown(3)
            case "iter":
                return iter(["a", "b"])
            case "list":
                return ["a", "b"]
            case "tuple":
                return ("a", "b")
            case "map":
                return map(str, [1, 2])
            case "text":
                return "ab"
            case "dict":
                return {"a": 1}
            case "empty list":
                return []
            case _:
                return None


REQUESTS = [
    {
        "input": {"kind": "object"},
        "ours": {"status": "succeeded", "error": ..., "output": ["2", "1", "0"]},
        "because": "MORE_OUTPUTS",
    },
    {
        "input": {"kind": "iter"},
        "ours": {"status": "succeeded", "error": ..., "output": ["a", "b"]},
        "because": "MORE_OUTPUTS",
    },
    {"input": {"kind": "list"}},
    {"input": {"kind": "tuple"}},
    {
        "input": {"kind": "map"},
        "ours": {"status": "succeeded", "error": ..., "output": ["1", "2"]},
        "because": "MORE_OUTPUTS",
    },
    {"input": {"kind": "text"}},
    {"input": {"kind": "dict"}},
    {"input": {"kind": "empty list"}},
    {"input": {"kind": "none"}},
]
