"""Refuses a width that is no multiple of 8 by an exception that names the input `blame`."""

from cog import BasePredictor, Input


class InputError(ValueError):
    def __init__(self, input: str, message: str) -> None:
        super().__init__(f"{input}: {message}")
        self.input = input


class Predictor(BasePredictor):
    def predict(self, width: int = Input(default=64, ge=1), blame: str = Input(default="width")) -> str:
        print("looks at it")
        if width % 8:
            raise InputError(blame, f"{width} is no multiple of 8. The nearest is {width // 8 * 8}.")
        return f"{width} wide"
