"""Narrows its inputs as the JSON file `narrowed.json` says, in the folder of the variable FOLDER.

Its setup goes on once that is there. Where a device has one of its own, `narrowed-DEVICE.json`, it is that file.
"""

import json
import os
import time
from pathlib import Path as File
from typing import Any

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def setup(self) -> None:
        folder = File(os.environ["FOLDER"])
        own = folder / f"narrowed-{os.environ.get('CUDA_VISIBLE_DEVICES')}.json"
        file = own if own.exists() else folder / "narrowed.json"
        while not file.exists():
            time.sleep(0.005)
        self.narrowed = json.loads(file.read_text())

    def narrow_inputs(self) -> Any:
        print("narrowing")
        return self.narrowed

    def predict(
        self,
        prompt: str = Input(max_length=100),
        negative_prompt: str = Input(default="none"),
        mask: Path | None = Input(default=None),
        scheduler: str | None = Input(default=None, choices=["DDIM", "PNDM", "UniPC"]),
        steps: int | None = Input(default=None, ge=1, le=500),
        width: int = Input(default=512, ge=64, le=2048),
        sizes: list[int] = Input(default=[1]),
    ) -> Any:
        sizes.append(0)
        return {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "mask": mask and mask.read_text(),
            "scheduler": scheduler,
            "steps": steps,
            "width": width,
            "sizes": sizes,
        }
