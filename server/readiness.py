"""The file that tells a probe without HTTP, such as `test -f`, that the model is ready."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from server.worker.backend import Backend, WorkerState

logger = logging.getLogger(__name__)

_COGS = Path("/var/run/cog/ready")


def ready_path(chosen: str | None) -> Path | None:
    """Where the file belongs: the path that was chosen, in Kubernetes else the one that Cog's images have."""
    if chosen:
        return Path(chosen)
    return _COGS if "KUBERNETES_SERVICE_HOST" in os.environ else None


@asynccontextmanager
async def ready_file(path: Path | None, backend: Backend) -> AsyncIterator[None]:
    """Within, `path` exists from the moment at which the model has been set up; before and after it does not.

    A file that cannot be made is reported in the log; the server does without.
    """
    if path is None:
        yield
        return
    await asyncio.to_thread(_remove, path)
    task = asyncio.create_task(_make(path, backend))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(_remove, path)


async def _make(path: Path, backend: Backend) -> None:
    if await backend.settled() is WorkerState.READY:
        await asyncio.to_thread(_touch, path)


def _touch(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        logger.warning("The file that says that the model is ready cannot be made: %s.", error)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("The file that says that the model is ready cannot be removed: %s.", error)
