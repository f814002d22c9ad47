from collections.abc import Sequence

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, words: Sequence[str]) -> str:
        raise NotImplementedError


ERROR = (
    "sequence_input.py:7: words: the type collections.abc.Sequence[str] cannot be an input. Use str, int, "
    "float, bool, Path, File, Secret, dict, Any, or a list or an optional of these."
)
