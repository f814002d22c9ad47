"""Runs the Python that it is given, which may await, up to four at once, and returns what that calls `result`."""

import ast
from typing import Any

from cog import BasePredictor, concurrent


class Predictor(BasePredictor):
    @concurrent(max=4)
    async def predict(self, code: str) -> Any:
        names = {"self": self}
        coroutine = eval(compile(code, "<code>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if coroutine is not None:
            await coroutine
        return names.get("result")
