"""What a child is asked, and answers when it gets to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Question(Generic[_T]):
    """Asked once at a time: who asks while it is open gets the same answer.

    Args:
        seconds: how long to wait for the answer.
        unanswered: what is taken for it after that.
    """

    def __init__(self, seconds: float, unanswered: _T) -> None:
        self._seconds = seconds
        self._unanswered = unanswered
        self._answer: asyncio.Future[_T] | None = None

    async def ask(self, send: Callable[[], None]) -> _T:
        """The answer.

        Args:
            send: puts the question, where it is not open already.
        """
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
            send()
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.shield(self._answer)
        except TimeoutError:
            return self._unanswered

    def answer(self, answer: _T) -> None:
        """Give it to all who wait; nothing happens if nobody has asked."""
        if self._answer:
            self._answer.set_result(answer)
            self._answer = None
