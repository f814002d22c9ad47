"""The newer names: `BaseRunner` and `run`."""

from cog import BaseRunner


class Runner(BaseRunner):
    def run(self, name: str) -> str:
        return f"hello {name}"


REQUESTS = [
    {"input": {"name": "world"}},
    {"input": {}},
]
