"""A plain function that yields."""

from collections.abc import Iterator


def predict(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"piece {number}"


REQUESTS = [
    {"input": {"count": 3}},
    {"input": {"count": 0}},
]
