"""A `predict` behind decorators that keep its signature."""

import functools

from cog import BasePredictor, Input


def doubled(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs) * 2

    return wrapper


class NoGrad:
    def __enter__(self):
        print("no gradients")

    def __exit__(self, *error):
        print("gradients")

    def __call__(self, function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        return wrapper


class Predictor(BasePredictor):
    @doubled
    @NoGrad()
    def predict(self, text: str = Input(max_length=3)) -> str:
        return text


REQUESTS = [
    {"input": {"text": "ab"}},
    {"input": {"text": "abcd"}},
]
