"""Tells which device it has, and by which order devices are numbered."""

import os

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> list[str]:
        return [os.environ.get(name, "unset") for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")]
