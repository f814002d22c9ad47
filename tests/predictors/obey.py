"""Does as it is told, and leaves word of what it does in the current folder."""

import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def setup(self) -> None:
        with Path("pids").open("a") as pids:
            pids.write(f"{os.getpid()}\n")
        while Path("hold").exists():
            time.sleep(0.005)

    def predict(self, order: str, name: str, file: Path | None = Input(default=None)) -> Iterator[Any]:
        match order:
            case "raise":
                raise ValueError(name)
            case "die":
                os._exit(1)
            case "spawn":
                subprocess.Popen(["sleep", "1000"])
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
                    time.sleep(0.005)
                except BaseException:
                    if order == "wait":
                        raise
