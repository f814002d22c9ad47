"""A default of `None` where the type does not allow it leaves the input required; a secret is not."""

from cog import BasePredictor, Input, Path, Secret


class Predictor(BasePredictor):
    def predict(
        self,
        text: str = Input(default=None),
        path: Path = Input(default=None),
        secret: Secret = Input(default=None),
        maybe: str | None = Input(description="No default at all"),
    ) -> str:
        return repr([text, path, secret, maybe])


REQUESTS = [
    {"input": {}},
    {"input": {"text": "a"}},
    {"input": {"text": "a", "path": "b"}},
    {"input": {"text": "a", "path": "b", "secret": "c", "maybe": "d"}},
]
