"""`narrow_inputs` and an exception that names an input: to Cog the one is a method like any other, and the other a
failure. What Darkroom makes of them is in `tests/compat/test_narrowing.py`."""

from cog import BasePredictor, Input


class InputError(ValueError):
    def __init__(self, input: str, message: str) -> None:
        super().__init__(f"{input}: {message}")
        self.input = input


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.most = 8

    def narrow_inputs(self) -> dict[str, object]:
        return {
            "mask": "it has no form for inpainting",
            "steps": {"default": 4, "le": self.most},
            "scheduler": {"choices": ["DDIM"], "default": "DDIM"},
        }

    def predict(
        self,
        prompt: str,
        mask: str = "",
        steps: int | None = Input(default=None, ge=1, le=500),
        scheduler: str | None = Input(default=None, choices=["DDIM", "PNDM"]),
    ) -> str:
        if prompt == "nothing":
            raise InputError("prompt", "nothing cannot be drawn")
        return f"{prompt} {mask} {steps} {scheduler}"
