"""What a module sees of where it runs."""

import os
import sys
from pathlib import Path

from cog import BasePredictor

at_import = Path.cwd().name


class Predictor(BasePredictor):
    def predict(self) -> dict:
        Path("written.txt").write_text("here")
        return {
            "cwd": at_import == Path.cwd().name == Path(__file__).parent.name,
            "file": Path(__file__).name,
            "folder is importable": str(Path.cwd()) in sys.path or "" in sys.path,
            "given": os.environ.get("GIVEN"),
            "written": Path("written.txt").read_text(),
        }


# A limit for setup that is no number is none.
ENVIRONMENT = {"GIVEN": "from outside", "COG_SETUP_TIMEOUT": "soon"}

REQUESTS = [{"input": {}}]
