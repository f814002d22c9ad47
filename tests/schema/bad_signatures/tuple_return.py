from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> tuple[str, int]:
        raise NotImplementedError


ERROR = (
    "tuple_return.py:5: return: the type tuple[str, int] cannot be an output. Use str, int, float, bool, Path,"
    " dict, Any, a list, an Iterator, or a BaseModel."
)
