"""Paints what the mask covers in red, as an inpainting model would, and says so."""

import tempfile
import time

from cog import BasePredictor, Input, Path, current_scope
from PIL import Image


class Predictor(BasePredictor):
    def predict(
        self,
        prompt: str = Input(description="What to paint"),
        image: Path | None = Input(description="The picture to change", default=None),
        mask: Path | None = Input(description="White where it is changed", default=None),
        fail: bool = Input(description="Fail instead", default=False),
        wait: bool = Input(description="Wait to be canceled", default=False),
        seed: int = Input(description="Takes no effect", default=1, ge=0, le=4294967295),
    ) -> list[Path]:
        """Paint something into a picture."""
        print(f"Painting {prompt}")
        scope = current_scope()
        scope.record_metric("progress", 0.5)
        if fail:
            raise ValueError("the paint is out")
        while wait:
            time.sleep(0.01)
        picture = Image.open(image).convert("RGB") if image else Image.new("RGB", (64, 48), "blue")
        if mask:
            covered = Image.open(mask).convert("L").resize(picture.size)
            picture.paste(Image.new("RGB", picture.size, "red"), mask=covered)
        path = Path(tempfile.mkdtemp()) / "out.png"
        picture.save(path)
        scope.record_metric("seed", seed)
        scope.record_metric("warnings", [{"code": "ignored", "input": "seed", "message": "It has no effect."}])
        return [path]
