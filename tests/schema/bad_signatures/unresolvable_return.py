from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> "Result":  # noqa: F821
        raise NotImplementedError


ERROR = (
    "unresolvable_return.py:5: return: the annotation Result cannot be evaluated (NameError: name 'Result' is "
    "not defined). Import or define its names at the top of the file, not under TYPE_CHECKING."
)
