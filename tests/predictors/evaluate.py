"""Evaluates lines of Python, in which `m` is the prediction's metric recorder, and returns what each gave or raised."""

import json
import threading

from cog import BasePredictor, current_scope


class Predictor(BasePredictor):
    def predict(self, code: str) -> str:
        scope = current_scope()
        names = {"s": scope, "m": scope.metrics, "self": self, "threading": threading, "current_scope": current_scope}
        return json.dumps([_evaluate(line, names) for line in code.splitlines()])


def _evaluate(line: str, names: dict) -> str:
    try:
        return repr(eval(line, names))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
