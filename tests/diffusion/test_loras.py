"""A LoRA that `setup` loads into `engine.pipeline`, with the one that ships with the embedded model."""

from __future__ import annotations

import numpy as np

from server.diffusion import Engine, PictureRequest
from tests.conftest import ROOT
from tests.diffusion.drawing import draw

LORA = ROOT / "models" / "emoji-loras" / "pixel-art" / "pytorch_lora_weights.safetensors"


def test_it_holds_for_every_request_until_it_is_unloaded() -> None:
    engine = Engine(str(ROOT / "models" / "emoji-fast"))
    request = PictureRequest(prompt="a penguin", seed=1, num_inference_steps=4)
    plain = pixels(engine, request)
    engine.pipeline.load_lora_weights(LORA.parent, weight_name=LORA.name)
    pixelated = pixels(engine, request)
    assert np.array_equal(pixels(engine, request), pixelated)
    # In pixel art there is less within each square of eight pixels, and more from one to the next.
    assert within_squares(pixelated) < 0.7 * within_squares(plain)
    engine.pipeline.unload_lora_weights()
    assert np.array_equal(pixels(engine, request), plain)


def pixels(engine: Engine, request: PictureRequest) -> np.ndarray:
    (picture,) = draw(engine, request)
    return np.asarray(picture.image, dtype=np.float64)


def within_squares(picture: np.ndarray) -> float:
    height, width, channels = picture.shape
    squares = picture.reshape(height // 8, 8, width // 8, 8, channels)
    return float(squares.std(axis=(1, 3)).mean() / picture.std())
