"""A model whose folder has modules of its own, one of them by the name of Darkroom's package."""

import sibling
from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> str:
        return f"{sibling.NAME} {__name__}"
