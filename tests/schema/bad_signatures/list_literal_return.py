from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> [str]:
        raise NotImplementedError


ERROR = (
    "list_literal_return.py:5: return: the type [str] cannot be an output. Use str, int, float, "
    "bool, Path, dict, Any, a list, an Iterator, or a BaseModel."
)
