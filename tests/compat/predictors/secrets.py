"""Secrets, which do not show themselves."""

from cog import BasePredictor, Input, Secret


class Predictor(BasePredictor):
    def predict(self, token: Secret, maybe: Secret = Input(default=None)) -> str:
        print(token, repr(token), f"{token!s}")
        return f"{token} {token!r} {token.get_secret_value()} {maybe} {maybe!r}"


REQUESTS = [
    {"input": {"token": "hidden"}},
    {"input": {"token": ""}},
    {"input": {"token": "a", "maybe": "b"}},
    {"input": {"token": 3}},
    {"input": {}},
]
