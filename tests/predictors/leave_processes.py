"""Starts programs that outlive the prediction."""

import subprocess

from cog import BasePredictor


class Predictor(BasePredictor):
    def setup(self) -> None:
        self.program = subprocess.Popen(["sleep", "1000"])

    def predict(self) -> int:
        return subprocess.Popen(["sleep", "1000"]).pid
