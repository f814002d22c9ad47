from typing import TYPE_CHECKING

from cog import BasePredictor

if TYPE_CHECKING:
    from PIL.Image import Image


class Predictor(BasePredictor):
    def predict(self, image: "Image") -> str:
        raise NotImplementedError


ERROR = (
    "unresolvable_annotation.py:10: image: the annotation Image cannot be evaluated (NameError: name 'Image' "
    "is not defined). Import or define its names at the top of the file, not under TYPE_CHECKING."
)
