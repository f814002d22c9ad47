"""Does as it is told, two things at once, and leaves word of what it does in the current folder."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

from cog import BasePredictor, Input, Path, concurrent


class Predictor(BasePredictor):
    def setup(self) -> None:
        with Path("pids").open("a") as pids:
            pids.write(f"{os.getpid()}\n")
        while Path("hold").exists():
            time.sleep(0.005)

    @concurrent(max=2)
    async def predict(self, order: str, name: str, file: Path | None = Input(default=None)) -> AsyncIterator[Any]:
        match order:
            case "raise":
                raise ValueError(name)
            case "die":
                os._exit(1)
            case "spawn":
                await asyncio.create_subprocess_exec("sleep", "1000")
            case "read":
                yield file.read_text()
            case "write":
                written = Path(f"{name}.txt")
                written.write_text(name)
                yield written
        yield name
        if order in ("wait", "swallow"):
            Path(f"{name}.waits").touch()
            while not Path(f"{name}.go").exists():
                try:
                    await asyncio.sleep(0.005)
                except BaseException:
                    if order == "wait":
                        raise
