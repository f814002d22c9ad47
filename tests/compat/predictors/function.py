"""A plain function."""

from cog import Input


def predict(name: str, times: int = Input(default=1, ge=1, le=3)) -> str:
    return f"hello {name} " * times


REQUESTS = [
    {"input": {"name": "world"}},
    {"input": {"name": "world", "times": 2}},
    {"input": {"name": "world", "times": 4}},
]
