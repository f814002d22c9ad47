"""Follows a script, step by step, and returns the list of what it was told to yield."""

import time
from typing import Optional

from cog import BasePredictor, CancelationException, Input, Path, streaming


class Predictor(BasePredictor):
    @streaming
    def predict(self, name: str, steps: list[str], file: Optional[Path] = Input(default=None)) -> list[str]:
        output = []
        for step in steps:
            verb, _, rest = step.partition(" ")
            match verb:
                case "say":
                    print(rest)
                case "yield":
                    output.append(rest)
                case "record":
                    self.record_metric(rest, 1)
                case "fail":
                    raise ValueError(rest)
                case "wait":
                    self._wait(name, rest)
                case "swallow":
                    try:
                        self._wait(name, rest)
                    except CancelationException:
                        print("swallowed")
                case "clean":
                    try:
                        self._wait(name, rest)
                    finally:
                        print("cleaned up")
        return output

    def _wait(self, name: str, point: str) -> None:
        Path(f"{name}.{point}.reached").touch()
        while not Path(f"{name}.{point}.passed").exists():
            time.sleep(0.005)


ENVIRONMENT = {"WEBHOOK_AUTH_TOKEN": "secret"}
