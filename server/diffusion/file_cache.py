"""Files that were fetched, kept on disk by what is in them, within a limit."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

_log = logging.getLogger(__name__)

_ABANDONED_SECONDS = 24 * 3600.0
"""How old a part of a file is, that no process can be fetching any more."""


@dataclass(frozen=True)
class Known:
    """What was last found out about a source.

    Attributes:
        digest: the SHA-256 of its file.
        etag: what its server called that state of the file.
        checked: when that was, in seconds since 1970.
    """

    digest: str
    etag: str | None
    checked: float


class FileCache:
    """Several processes may share a folder: files appear in it whole or not at all.

    Args:
        folder: where the files are; it is made if need be.
        max_bytes: how much they may take in all. What was not used for longest goes first.
        suffix: of the files' names.
    """

    def __init__(self, folder: Path, max_bytes: int, suffix: str) -> None:
        self.max_bytes = max_bytes
        self._files = folder / "files"
        self._sources = folder / "sources"
        self._suffix = suffix
        self._pinned: Counter[str] = Counter()

    def find(self, digest: str) -> Path | None:
        """The file, marked as used now; `None` if it is not there."""
        path = self._path(digest)
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def recall(self, source: str) -> Known | None:
        """What is known of a source whose file is there."""
        try:
            known = Known(**json.loads(self._entry(source).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return known if self.find(known.digest) else None

    def remember(self, source: str, digest: str, etag: str | None) -> None:
        """Keep in mind that a source has this file, as of now."""
        entry = self._entry(source)
        with self._written(entry.parent) as (file, part):
            file.write(json.dumps(asdict(Known(digest, etag, time.time()))).encode())
            file.flush()
            part.replace(entry)

    @contextmanager
    def new(self) -> Iterator[Draft]:
        """Write a new file. Unless it is kept, nothing is left of it at the end."""
        self._clean()
        with self._written(self._files) as (file, part):
            yield Draft(self, file, part)

    @contextmanager
    def pinned(self, digest: str) -> Iterator[None]:
        """Keep a file from being removed meanwhile by this process."""
        self._pinned[digest] += 1
        try:
            yield
        finally:
            self._pinned[digest] -= 1

    def evict(self) -> None:
        """Remove what was not used for longest, until the rest is within the limit."""
        found = []
        for path in self._files.glob(f"*{self._suffix}"):
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.max_bytes:
                return
            if not self._pinned[path.name.removesuffix(self._suffix)]:
                path.unlink(missing_ok=True)
                total -= size
                _log.info("%s has left the cache, which may have %d bytes.", path.name, self.max_bytes)

    def _path(self, digest: str) -> Path:
        return self._files / f"{digest}{self._suffix}"

    def _entry(self, source: str) -> Path:
        # A URL may hold a token, so it is not written down.
        return self._sources / f"{hashlib.sha256(source.encode(errors='replace')).hexdigest()}.json"

    def _clean(self) -> None:
        for part in self._files.glob("*.part"):
            with suppress(FileNotFoundError):
                if part.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    part.unlink()

    @contextmanager
    def _written(self, folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(suffix=".part", dir=folder)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file, part
        finally:
            part.unlink(missing_ok=True)


class Draft:
    """A file that is being written.

    Attributes:
        path: where it is meanwhile.
    """

    def __init__(self, cache: FileCache, file: BinaryIO, path: Path) -> None:
        self.path = path
        self._cache = cache
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Append."""
        self._hash.update(piece)
        self._file.write(piece)

    def flush(self) -> None:
        """Have all that was written in the file."""
        self._file.flush()

    def keep(self) -> str:
        """Put it into the cache, and return its digest. What is over the limit then goes, but not this one."""
        self.flush()
        digest = self._hash.hexdigest()
        self.path.replace(self._cache._path(digest))
        with self._cache.pinned(digest):
            self._cache.evict()
        return digest
