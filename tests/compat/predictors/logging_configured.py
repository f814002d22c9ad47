"""A handler of the logging module that was made at import writes to the logs of setup, then of predictions."""

import logging
import sys

from cog import BasePredictor

logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")
logger = logging.getLogger(__name__)


class Predictor(BasePredictor):
    def setup(self) -> None:
        logger.info("in setup")

    def predict(self) -> str:
        logger.info("in predict")
        return __name__


REQUESTS = [{"input": {}}]
