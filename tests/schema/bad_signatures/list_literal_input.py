from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, words: [str]) -> str:
        raise NotImplementedError


ERROR = (
    "list_literal_input.py:5: words: the type [str] cannot be an input. Use str, int, float, bool, "
    "Path, File, Secret, dict, Any, or a list or an optional of these."
)
