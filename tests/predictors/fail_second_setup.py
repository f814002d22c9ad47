"""Its setup fails as long as the file named by the variable BROKEN exists; its predictions can end the process."""

import os
from pathlib import Path

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        print("setting up")
        if Path(os.environ["BROKEN"]).exists():
            raise RuntimeError("broken")

    def predict(self, crash: bool = False) -> str:
        if crash:
            os._exit(1)
        return "done"
