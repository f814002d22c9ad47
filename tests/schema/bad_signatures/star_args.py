from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, *words: str) -> str:
        raise NotImplementedError


ERROR = (
    "star_args.py:5: *words: nobody can know which inputs it stands for. Name each input; if a decorator put "
    "this here, write @functools.wraps(function) above its function."
)
