from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, data: bytes) -> str:
        raise NotImplementedError


ERROR = (
    "bytes_input.py:5: data: the type bytes cannot be an input. Use str, int, float, bool, Path, File, Secret,"
    " dict, Any, or a list or an optional of these; or Annotated[bytes, Opaque], which takes any JSON object."
)
