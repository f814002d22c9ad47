"""Which database a server gets."""

from __future__ import annotations

import logging
from pathlib import Path

from server.errors import StoreError, StoreInUse
from server.store.file import DatabaseFile
from server.store.sqlite import SqliteStore

logger = logging.getLogger(__name__)


def open_store(chosen: Path | None, default: Path, port: int, max_bytes: int) -> SqliteStore:
    """Open what a server on this port has kept, and go on keeping it there.

    Servers on different ports have different files, so that several may run in one folder. Where nobody chose a folder
    and the default one is of no use, or the port is 0 and so another each time, what is kept lasts as long as the
    server.

    Args:
        chosen: the folder to use, or `None`.
        default: the folder to use where none was chosen.
        port: as the server was told: 0 is any free one.
        max_bytes: how much is kept.

    Raises:
        StoreInUse: another server has the file.
        StoreError: the file in the chosen folder cannot be used.
    """
    name = f"predictions-{port}.db"
    if chosen is None and port == 0:
        return SqliteStore(DatabaseFile.temporary(name), max_bytes)
    try:
        return SqliteStore(DatabaseFile(chosen or default, name), max_bytes)
    except StoreInUse:
        raise
    except StoreError as error:
        if chosen:
            raise
        logger.warning("%s Until then predictions are forgotten when this server stops.", error)
        return SqliteStore(DatabaseFile.temporary(name), max_bytes)
