"""Returns the context of the request."""

from cog import BasePredictor, current_scope


class Predictor(BasePredictor):
    def predict(self) -> dict[str, str]:
        return dict(current_scope().context)
