from cog import BaseModel, BasePredictor


class Result(BaseModel):
    image: "Image"  # noqa: F821


class Predictor(BasePredictor):
    def predict(self) -> Result:
        raise NotImplementedError


ERROR = (
    "model_of_unknown_name.py:9: return: the annotations of Result cannot be evaluated (NameError: name "
    "'Image' is not defined). Import or define their names at the top of the file, not under TYPE_CHECKING."
)
