from collections.abc import Iterator

from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self) -> list[Iterator[str]]:
        raise NotImplementedError


ERROR = (
    "iterator_in_list.py:7: return: the type collections.abc.Iterator[str] cannot be an output. Write "
    "Iterator[...] around the type of your items, and only around the whole output."
)
