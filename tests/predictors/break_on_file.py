"""Cannot be set up while the file named by the variable BROKEN exists."""

import os
from pathlib import Path

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        if Path(os.environ["BROKEN"]).exists():
            raise RuntimeError("broken")

    def predict(self) -> int:
        return os.getpid()
