"""Work that would block the event loop, such as reading and writing files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a short blocking function in a thread and return what it returns, or raise what it raises.

    A thread cannot be interrupted: where the caller is canceled, the cancellation goes on only once the function has
    returned, so that the caller may then close or remove the files that it was using.
    """
    task = asyncio.create_task(asyncio.to_thread(function, *args, **kwargs))
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        task.exception()  # else asyncio reports that nobody looked at it
        raise
    return task.result()
