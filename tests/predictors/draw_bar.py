"""Draws a progress bar, as models do, and prints lines around it."""

import sys

from cog import BasePredictor
from tqdm import tqdm


class Predictor(BasePredictor):
    def predict(self, steps: int = 4) -> str:
        print("before the bar")
        for _ in tqdm(range(steps), desc="denoising", file=sys.stderr):
            pass
        print("after the bar")
        return "done"
