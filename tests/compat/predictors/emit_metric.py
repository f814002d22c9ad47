"""The names that are only kept for old models."""

from cog import BasePredictor, ExperimentalFeatureWarning, emit_metric


class Predictor(BasePredictor):
    def predict(self, value: float) -> str:
        emit_metric("old", value)
        return ExperimentalFeatureWarning.__name__.strip("_")


REQUESTS = [{"input": {"value": 1.5}}]
