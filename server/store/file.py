"""Where a database lies: a file that one process has to itself."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import Self

from server.errors import StoreError, StoreInUse


class DatabaseFile:
    """A path for a database that no other process uses before `close`, not even if this process dies.

    The folder is made where there is none: for this user alone, and so that git ignores what is in it.

    Raises:
        StoreInUse: another process has it.
        StoreError: the folder or a file in it cannot be made or written.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        try:
            _make(folder)
            self._lock = open(folder / f"{name}.lock", "a+b", buffering=0, opener=_private)  # noqa: SIM115
            try:
                self._claim()
                # Made here, because SQLite would let everybody read it.
                os.close(_private(self.path, os.O_RDWR | os.O_CREAT))
            except BaseException:
                self._lock.close()
                raise
        except OSError as error:
            raise StoreError(
                f"Predictions cannot be kept in {folder}: {error}. "
                "Make it writable, or give another folder by --data-dir."
            ) from error

    @classmethod
    def temporary(cls, name: str) -> Self:
        """One in a folder that is removed when it is closed."""
        folder = tempfile.TemporaryDirectory(prefix="darkroom-store-")
        file = cls(Path(folder.name), name)
        file._temporary = folder
        return file

    def close(self) -> None:
        """Let others use it. Harmless when repeated."""
        self._lock.close()
        if self._temporary:
            self._temporary.cleanup()

    def _claim(self) -> None:
        # On a file of its own: closing the database anywhere in this process would drop SQLite's locks on it.
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read(20).decode(errors="replace").strip()
            raise StoreInUse(
                f"{self.path} is in use by another server{f' (process {holder})' if holder else ''}. "
                "Stop that one, or give this one a folder of its own by --data-dir."
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n".encode())


def _private(path: str | Path, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
