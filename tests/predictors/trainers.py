"""Trainers of every kind."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator

from cog import BasePredictor, Path


class Trainer:
    """A class that can do nothing else."""

    def setup(self) -> None:
        print("setting up to train")
        self.base = "base"

    def train(self, data: str) -> str:
        return f"{self.base} trained on {data}"


class Both(BasePredictor):
    def setup(self) -> None:
        self.used = []

    def predict(self, data: str) -> str:
        return f"predicted {data}"

    def train(self, data: str) -> str:
        self.used.append(data)
        return f"trained on {self.used}"


class NoTrainer(BasePredictor):
    def predict(self, data: str) -> str:
        return data


async def train_async(data: str) -> str:
    await asyncio.sleep(0)
    if data == "bad":
        raise ValueError(data)
    return f"trained on {data}"


def train_in_steps(data: str) -> Iterator[str]:
    for step in range(2):
        yield f"{data} {step}"


async def train_in_steps_async(data: str) -> AsyncIterator[str]:
    for step in range(2):
        yield f"{data} {step}"


def train_to_file(data: str) -> Path:
    weights = Path(tempfile.mkdtemp()) / "weights.bin"
    weights.write_text(data)
    return Path(weights)


def train(data: str) -> str:
    if data == "bad":
        raise ValueError(data)
    return f"trained on {data}"


def train_bytes(data: bytes) -> str:
    return str(data)
