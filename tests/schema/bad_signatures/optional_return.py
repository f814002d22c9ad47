from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> str | None:
        raise NotImplementedError


ERROR = (
    "optional_return.py:5: return: an output cannot be optional, as str | None is. Write str, and raise an "
    "exception where there is no result; or return a BaseModel with such a field."
)
