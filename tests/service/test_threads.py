from __future__ import annotations

import asyncio
import threading

import pytest

from server.service.threads import in_thread


async def test_it_returns_and_raises_what_the_function_does() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancel_waits_for_the_function(fails: bool) -> None:
    loop = asyncio.get_running_loop()
    entered, returned = asyncio.Event(), threading.Event()
    may_return = threading.Event()

    def work() -> None:
        loop.call_soon_threadsafe(entered.set)
        may_return.wait()
        returned.set()
        if fails:
            raise OSError("nobody is interested")

    task = asyncio.create_task(in_thread(work))
    await entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # insisting changes nothing
    await asyncio.sleep(0)
    assert not task.done()
    may_return.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert returned.is_set()
