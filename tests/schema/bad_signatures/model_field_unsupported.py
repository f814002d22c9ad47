from cog import BaseModel, BasePredictor


class Result(BaseModel):
    name: str
    data: bytes


class Predictor(BasePredictor):
    def predict(self) -> Result:
        raise NotImplementedError


ERROR = (
    "model_field_unsupported.py:10: return: in Result, the field data: the type bytes cannot be an output. Use"
    " str, int, float, bool, Path, dict, Any, a list, an Iterator, or a BaseModel."
)
