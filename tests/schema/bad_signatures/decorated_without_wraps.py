from cog import BasePredictor


def timed(function):
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


class Predictor(BasePredictor):
    @timed
    def predict(self, prompt: str) -> str:
        raise NotImplementedError


ERROR = (
    "decorated_without_wraps.py:5: *args: nobody can know which inputs it stands for. Name each input; if a "
    "decorator put this here, write @functools.wraps(function) above its function."
)
