"""Runs two predictions at once, each until its file appears."""

import asyncio
from pathlib import Path

from cog import BasePredictor, Input, concurrent


class Predictor(BasePredictor):
    @concurrent(max=2)
    async def predict(
        self,
        folder: str = Input(description="Where the files are"),
        name: str = Input(description="What they begin with"),
    ) -> str:
        (Path(folder) / f"{name}.started").touch()
        while not (Path(folder) / f"{name}.go").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        return name
