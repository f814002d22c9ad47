from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(self, image: Path = Input(default="apple.png")) -> str:
        raise NotImplementedError


ERROR = (
    "default_of_path.py:5: image: a file cannot have a default, such as 'apple.png': it would not be fetched. "
    "Write Path | None = Input(default=None), and open your file where it is None."
)
