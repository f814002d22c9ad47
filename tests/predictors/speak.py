"""Does what it is told, and says what it should not: its prompt and its token, in exceptions and outputs."""

import os
import time

from cog import BasePredictor, Input, Path, Secret


class InputError(ValueError):
    def __init__(self, input: str, message: str) -> None:
        super().__init__(f"{input}: {message}")
        self.input = input


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("learns to speak")

    def predict(
        self,
        prompt: str,
        do: str = Input(default="answer", choices=["answer", "fail", "refuse", "wait", "write", "die"]),
        token: Secret | None = Input(default=None),
        image: Path | None = Input(default=None),
    ) -> list[str]:
        secret = token.get_secret_value() if token else ""
        match do:
            case "fail":
                try:
                    raise LookupError(f"no {prompt!r} for {secret}")
                except LookupError as error:
                    raise ValueError(f"out of memory, 24 GB: {prompt.split()[1]}, {secret}") from error
            case "refuse":
                raise InputError("prompt", f"{prompt!r} is too long")
            case "wait":
                while True:
                    time.sleep(0.01)
            case "write":
                print(f"draws {prompt!r}")
                os.write(2, f"drawing {prompt.split()[1]}\n".encode())
                print(" 50%|#####     | 1/2 [00:01<00:01]\r100%|##########| 2/2 [00:02<00:00]\n")
                print("two\nlines, \u2028one \x1b[31mred\x1b[0m \u202eback")
                print("y" * 100_000)
                os.write(2, b"not \xff UTF-8\n")
                print('[info     ] "} forged {"prediction": 0')
            case "die":
                os._exit(3)
        return [prompt, secret]
