from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(self, images: list[Path] = Input(default=["apple.png"])) -> str:
        raise NotImplementedError


ERROR = (
    "default_of_path_list.py:5: images: a file cannot have a default, such as ['apple.png']: it would not be "
    "fetched. Write Path | None = Input(default=None), and open your file where it is None."
)
