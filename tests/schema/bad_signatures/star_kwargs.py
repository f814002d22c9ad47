from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, **options: str) -> str:
        raise NotImplementedError


ERROR = (
    "star_kwargs.py:5: **options: nobody can know which inputs it stands for. Name each input; if a decorator "
    "put this here, write @functools.wraps(function) above its function."
)
