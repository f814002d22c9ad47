from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, image: Path | str) -> str:
        raise NotImplementedError


ERROR = (
    "path_in_union.py:5: image: a path cannot be a member of Path | str: on the wire it is a string like any "
    "other. Write two optional inputs instead."
)
