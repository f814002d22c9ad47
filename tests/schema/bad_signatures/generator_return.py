from collections.abc import Generator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> Generator[str, None, None]:
        raise NotImplementedError


ERROR = (
    "generator_return.py:7: return: the type collections.abc.Generator[str, None, None] cannot be an output. "
    "Write Iterator[...] around the type of your items, and only around the whole output."
)
