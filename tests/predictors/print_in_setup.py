"""Prints as many lines in its setup as the variable LINES says."""

import os

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        for number in range(int(os.environ["LINES"])):
            print(f"line {number} {'x' * 50}")

    def predict(self) -> str:
        return "done"
