from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, size: tuple[int, int]) -> str:
        raise NotImplementedError


ERROR = (
    "tuple_input.py:5: size: the type tuple[int, int] cannot be an input. Use str, int, float, bool, Path, "
    "File, Secret, dict, Any, or a list or an optional of these."
)
