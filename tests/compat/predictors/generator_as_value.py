"""A generator where the annotation says something else."""

from typing import Any

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, kind: str) -> Any:
        numbers = (number * 2 for number in range(3))
        match kind:
            case "generator":
                return numbers
            case "in a dict":
                return {"numbers": numbers}
            case "map":
                return map(str, [1, 2])
            case "range":
                return range(3)
            case "iterator":
                return iter([1, 2])
            case "fails":
                return (1 // number for number in [1, 0])


REQUESTS = [
    {"input": {"kind": "generator"}},
    {"input": {"kind": "in a dict"}},
    {"input": {"kind": "map"}},
    {"input": {"kind": "range"}},
    {"input": {"kind": "iterator"}},
    {"input": {"kind": "fails"}},
]
