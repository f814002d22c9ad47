"""Defines both names that are looked for where none is given."""

from cog import BasePredictor, BaseRunner


class Predictor(BasePredictor):
    def predict(self) -> str:
        return "Predictor"


class Runner(BaseRunner):
    def run(self) -> str:
        return "Runner"
