"""Plain functions, as trainers are."""

from collections.abc import Iterator

LIMIT = 3


def double(number: int) -> int:
    return number * 2


async def double_async(number: int) -> int:
    return number * 2


def double_each(numbers: list[int]) -> Iterator[int]:
    return map(double, numbers)
