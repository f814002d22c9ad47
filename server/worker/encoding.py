"""What `predict` puts out -> JSON, in which files are `LocalFile`s."""

from __future__ import annotations

import dataclasses
import errno
import io
import math
import shutil
import stat
import sys
from collections.abc import Generator
from datetime import datetime
from enum import Enum
from pathlib import Path, PurePath
from typing import IO, Any

from server.worker.messages import LocalFile

MAX_DEPTH = 128
"""How deep an output may be nested; Cog's runtime has the same limit."""


class OutputEncoder:
    """Encodes the outputs of one prediction and keeps copies of their files.

    A file is copied at once, because models write the next one over it. A copy keeps the file's name, as clients get
    to see it; where two files have the same name, the second is called `name-1.png`, and so on.

    Args:
        directory: an empty folder for the copies.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def encode(self, value: Any) -> Any:
        """The JSON of a value.

        Enums are encoded as their value, `datetime`s in ISO 8601, dataclasses and pydantic's models as objects, sets
        and generators as lists, scalars and arrays of numpy as numbers and lists.

        Raises:
            TypeError: the value, or one inside it, is not JSON and not one of those above.
            ValueError: it is nested deeper than `MAX_DEPTH`, which it also is if it contains itself.
            UnicodeEncodeError: a string holds half a surrogate pair.
            OSError: a file is missing, is a folder, or cannot be read.
        """
        return self._encode(value, 0)

    def _encode(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels, or contains itself")
        match value:
            case None | bool():
                return value
            case Enum():
                return self._encode(value.value, depth + 1)
            case str():
                value.encode()
                return str.__str__(value)
            case int():
                return int(value)
            case float():
                return _finite(float(value))
            case dict():
                return {_key(key): self._encode(item, depth + 1) for key, item in value.items()}
            case list() | tuple() | set() | frozenset() | Generator():
                return [self._encode(item, depth + 1) for item in value]
            case datetime():
                return value.isoformat()
            case PurePath():
                return self._copy(Path(value))
            case _ if callable(getattr(value, "read", None)):
                return self._store(value)
            case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
                fields = dataclasses.fields(value)
                return {field.name: self._encode(getattr(value, field.name), depth + 1) for field in fields}
            case _ if callable(getattr(value, "model_dump", None)) and not isinstance(value, type):
                return self._encode(value.model_dump(), depth + 1)
        return self._encode(_from_numpy(value), depth + 1)

    def _copy(self, path: Path) -> LocalFile:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "Not a file; return the path of one", str(path))
        with path.open("rb") as file:
            return self._keep(file, path.name)

    def _store(self, file: Any) -> LocalFile:
        # A file opened as text has the bytes below; text in memory has none.
        content = getattr(file, "buffer", file)
        if isinstance(content, io.TextIOBase):
            raise TypeError(f"Object of type {type(file).__name__} holds text, not bytes; return a Path or a str")
        if isinstance(file, io.TextIOBase):
            file.flush()
        if content.seekable():
            content.seek(0)
        name = getattr(file, "name", None)
        return self._keep(content, PurePath(name).name if isinstance(name, str) else "")

    def _keep(self, content: IO[bytes], name: str) -> LocalFile:
        name = name or "output"
        for number in range(sys.maxsize):
            path = self._directory / (_numbered(name, number) if number else name)
            try:
                with path.open("xb") as copy:
                    shutil.copyfileobj(content, copy, 1 << 20)
            except FileExistsError:
                continue
            return LocalFile(str(path))
        raise AssertionError("there are more files than integers")


def _numbered(name: str, number: int) -> str:
    path = PurePath(name)
    return f"{path.stem}-{number}{path.suffix}"


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise TypeError(f"Object of type float is not JSON serializable where it is {number}")
    return number


def _key(key: Any) -> str:
    """A key of an object, as Python's `json` writes it."""
    match key:
        case str():
            key.encode()
            return str.__str__(key)
        case None:
            return "null"
        case bool():
            return "true" if key else "false"
        case int():
            return str(int(key))
        case float():
            return repr(_finite(float(key)))
    raise TypeError(f"keys must be str, int, float, bool or None, not {type(key).__name__}")


def _from_numpy(value: Any) -> Any:
    # Where numpy was not imported, nothing can be of its types.
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            return value.tolist()
        if isinstance(value, numpy.generic) and isinstance(item := value.item(), bool | int | float | str):
            return item
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
