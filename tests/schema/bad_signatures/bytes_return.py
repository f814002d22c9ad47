from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> bytes:
        raise NotImplementedError


ERROR = (
    "bytes_return.py:5: return: the type bytes cannot be an output. Use str, int, float, bool, Path, dict, "
    "Any, a list, an Iterator, or a BaseModel."
)
