"""Trains by following a script, step by step, and returns the list of what it was told to yield."""

import time
from pathlib import Path

from cog import BasePredictor, current_scope


class Predictor(BasePredictor):
    def predict(self, name: str) -> str:
        return name


def train(name: str, steps: list[str]) -> list[str]:
    output = []
    for step in steps:
        verb, _, rest = step.partition(" ")
        match verb:
            case "say":
                print(rest)
            case "yield":
                output.append(rest)
            case "record":
                current_scope().record_metric(rest, 1)
            case "fail":
                raise ValueError(rest)
            case "wait":
                Path(f"{name}.{rest}.reached").touch()
                while not Path(f"{name}.{rest}.passed").exists():
                    time.sleep(0.005)
    return output


MODE = "train"
