"""Whether a model is asked to predict or to train."""

from enum import Enum


class Mode(Enum):
    """What a model is asked for."""

    PREDICT = "predict"
    TRAIN = "train"

    def __str__(self) -> str:
        return str(self.value)
