"""Says by a file that it runs, and goes on once another file appears."""

import os
import time
from pathlib import Path

from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def predict(
        self,
        folder: str = Input(description="Where the files are"),
        name: str = Input(description="What they begin with"),
    ) -> str:
        started, go, stopped = (Path(folder) / f"{name}.{end}" for end in ("started", "go", "stopped"))
        print(f"{name} runs")
        started.with_suffix(".new").write_text(str(os.getpid()))
        started.with_suffix(".new").rename(started)
        try:
            while not go.exists():
                time.sleep(0.005)
        except BaseException as error:
            stopped.write_text(type(error).__name__)
            raise
        return name
