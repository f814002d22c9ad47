"""Takes files and returns them under numbered names, in order."""

import shutil
import tempfile

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(self, files: list[Path] = Input(description="Files to copy")) -> list[Path]:
        folder = Path(tempfile.mkdtemp())
        copies = [Path(folder / f"copy-{number}{file.suffix}") for number, file in enumerate(files)]
        for file, copy in zip(files, copies, strict=True):
            shutil.copyfile(file, copy)
        return copies
