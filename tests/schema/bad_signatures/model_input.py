from cog import BaseModel, BasePredictor


class Options(BaseModel):
    steps: int


class Predictor(BasePredictor):
    def predict(self, options: Options) -> str:
        raise NotImplementedError


ERROR = (
    "model_input.py:9: options: the type model_input.Options cannot be an input. Use str, int, float, bool, "
    "Path, File, Secret, dict, Any, or a list or an optional of these; or Annotated[Options, Opaque], which "
    "takes any JSON object."
)
