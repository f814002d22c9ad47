"""Follows a script, step by step, as a synchronous generator; `test_sequences.py` writes the scripts."""

import time
from collections.abc import Iterator
from typing import Optional

from cog import BasePredictor, CancelationException, Input, Path, streaming


class Predictor(BasePredictor):
    @streaming
    def predict(self, name: str, steps: list[str], file: Optional[Path] = Input(default=None)) -> Iterator[str]:
        for step in steps:
            verb, _, rest = step.partition(" ")
            match verb:
                case "say":
                    print(rest)
                case "yield":
                    yield rest
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

    def _wait(self, name: str, point: str) -> None:
        Path(f"{name}.{point}.reached").touch()
        while not Path(f"{name}.{point}.passed").exists():
            time.sleep(0.005)


ENVIRONMENT = {"WEBHOOK_AUTH_TOKEN": "secret"}
