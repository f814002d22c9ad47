"""Draws patterns that depend on every input alone, and tells in each file how it was made, as predict.py does."""

import hashlib
import json
import os

import numpy as np
from cog import BasePredictor, Input, Path, Secret
from PIL import Image

from server.diffusion import Metadata, OutputFolders, Provenance, record_inputs, save
from server.diffusion.metadata import UsedLora


class Predictor(BasePredictor):
    def setup(self) -> None:
        # What stands for the model is a file, and its contents have a say in the picture.
        self.model = Path(os.environ["MODEL_ID"])
        digest = hashlib.sha256(self.model.read_bytes()).hexdigest()
        self.provenance = Provenance(self.model.name, digest=digest, device="hand", versions={"drawing": "1"})
        self.outputs = OutputFolders()

    def predict(
        self,
        prompt: str,
        image: Path | None = Input(default=None),
        styles: list[Path] = Input(default=[]),
        lora_weights: str = Input(default=""),
        token: Secret | None = Input(default=None),
        num_outputs: int = Input(default=1, ge=1, le=4),
        num_inference_steps: int = Input(default=4, ge=1),
        seed: int = Input(default=0),
        output_format: str = Input(default="png", choices=["webp", "jpg", "png", "avif"]),
        output_quality: int = Input(default=80, ge=0, le=100),
        embed_metadata: bool = Input(default=True),
    ) -> list[Path]:
        given = {name: value for name, value in locals().items() if name != "self"}
        inputs = record_inputs(given)
        lora = Path(lora_weights) if Path(lora_weights).is_file() else None
        loras = (UsedLora(lora_weights, 1.0, hashlib.sha256(lora.read_bytes()).hexdigest()),) if lora else ()
        files = [image, *styles, self.model, lora]
        contents = b"".join(file.read_bytes() for file in files if file)
        secret = token.get_secret_value() if token else None
        paths = []
        with self.outputs.new() as folder:
            for index in range(num_outputs):
                own = json.dumps([prompt, lora_weights, secret, num_inference_steps, seed + index])
                digest = hashlib.sha256(own.encode() + contents).digest()
                pixels = np.random.default_rng(list(digest)).integers(0, 256, (3, 4, 3), dtype=np.uint8)
                picture = Image.fromarray(pixels).resize((64, 48), Image.Resampling.BICUBIC)
                metadata = Metadata(
                    prompt=prompt,
                    seed=seed + index,
                    width=picture.width,
                    height=picture.height,
                    provenance=self.provenance,
                    inputs=inputs,
                    index=index,
                    num_inference_steps=num_inference_steps,
                    loras=loras,
                    edited=image is not None,
                )
                path = folder / f"out-{index}.{output_format}"
                save(picture, path, output_quality, metadata if embed_metadata else None)
                paths.append(Path(path))
        return paths
