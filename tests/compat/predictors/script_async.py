"""Follows a script, step by step, as an asynchronous generator, two scripts at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Optional

from cog import BasePredictor, Input, Path, concurrent, streaming


class Predictor(BasePredictor):
    @streaming
    @concurrent(max=2)
    async def predict(
        self, name: str, steps: list[str], file: Optional[Path] = Input(default=None)
    ) -> AsyncIterator[str]:
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
                    await self._wait(name, rest)
                case "swallow":
                    try:
                        await self._wait(name, rest)
                    except asyncio.CancelledError:
                        print("swallowed")
                case "clean":
                    try:
                        await self._wait(name, rest)
                    finally:
                        print("cleaned up")

    async def _wait(self, name: str, point: str) -> None:
        Path(f"{name}.{point}.reached").touch()
        while not Path(f"{name}.{point}.passed").exists():
            await asyncio.sleep(0.005)


# What `cog build` makes of the decorator.
ENVIRONMENT = {"COG_MAX_CONCURRENCY": "2", "WEBHOOK_AUTH_TOKEN": "secret"}
