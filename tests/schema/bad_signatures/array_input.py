import numpy as np
from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, data: np.ndarray) -> str:
        raise NotImplementedError


ERROR = (
    "array_input.py:6: data: the type numpy.ndarray cannot be an input. Use str, int, float, bool, Path, File,"
    " Secret, dict, Any, or a list or an optional of these; or Annotated[ndarray, Opaque], which takes any "
    "JSON object."
)
