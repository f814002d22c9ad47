"""Works on one device, and does there what files in the folder of the variable FOLDER tell it to."""

import os
import time
from pathlib import Path

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.folder = Path(os.environ["FOLDER"])
        self.device = os.environ["CUDA_VISIBLE_DEVICES"]
        print(f"{self.device} is set up")
        while (self.folder / f"{self.device}.hold").exists():
            time.sleep(0.005)
        if (self.folder / f"{self.device}.broken").exists():
            raise RuntimeError(f"{self.device} is broken")

    def healthcheck(self) -> bool:
        if (self.folder / f"{self.device}.hang").exists():
            self._tell("hangs", str(os.getpid()))
            time.sleep(1000)
        return not (self.folder / f"{self.device}.unwell").exists()

    def predict(self, name: str, hold: bool = False) -> str:
        self._tell(f"{name}.started", self.device)
        while hold and not (self.folder / f"{name}.go").exists():
            time.sleep(0.005)
        return self.device

    def _tell(self, name: str, text: str) -> None:
        new = self.folder / f"{name}.new"
        new.write_text(text)
        new.rename(self.folder / name)
