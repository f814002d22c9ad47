"""The newer base class with the older method."""

from cog import BaseRunner


class Runner(BaseRunner):
    def predict(self, name: str) -> str:
        return f"hello {name}"


REQUESTS = [{"input": {"name": "world"}}]
