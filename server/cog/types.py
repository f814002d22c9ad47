"""The types of inputs and outputs that Python itself does not have."""

from __future__ import annotations

import io
import mimetypes
import os
import pathlib
import shutil
import sys
import tempfile
import urllib.parse
import urllib.request
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import IO, Any, Generic, TypeVar

FILENAME_ILLEGAL_CHARS = {"\0", "/"}
FILENAME_MAX_LENGTH = 200
"""The longest file name that `get_filename` makes, in bytes of UTF-8."""

_TIMEOUT = 10.0
"""Seconds in which a server must answer, and keep sending."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Secret:
    """A string that does not show itself when it is printed or logged."""

    secret_value: str | None = None

    def get_secret_value(self) -> str | None:
        """The string itself."""
        return self.secret_value

    def __str__(self) -> str:
        return "" if self.secret_value is None else "**********"

    def __repr__(self) -> str:
        return f"Secret({self})"


class Path(pathlib.PosixPath):
    """A file on disk: as an input what the request's URL was downloaded to, as an output what is sent back."""

    @classmethod
    def validate(cls, value: Any) -> pathlib.Path:
        """A path as it is, a URL (http, https, data) as a `URLPath`, any other string as a `Path`.

        Raises:
            ValueError: a data URL is malformed.
        """
        if isinstance(value, pathlib.Path):
            return value
        if urllib.parse.urlparse(value).scheme in ("data", "http", "https"):
            return URLPath(source=value, filename=get_filename(value), fileobj=File.validate(value))
        return Path(value)


class File(io.IOBase):
    """An open binary file. `Path` is the newer way."""

    @classmethod
    def validate(cls, value: Any) -> io.IOBase:
        """An open file as it is, a data URL as its content, an http or https URL as a `URLFile`.

        Raises:
            ValueError: it is another kind of URL, or none.
        """
        if isinstance(value, io.IOBase):
            return value
        scheme = urllib.parse.urlparse(value).scheme
        match scheme:
            case "data":
                with urllib.request.urlopen(value) as response:  # noqa: S310 - the scheme is data
                    return io.BytesIO(response.read())
            case "http" | "https":
                return URLFile(value)
        raise ValueError(f"'{scheme}' is not a valid URL scheme. 'data', 'http', or 'https' is supported.")


class URLFile(io.IOBase):
    """A binary file at an http or https URL, fetched when it is first read. It can be pickled.

    Attributes:
        name: the last part of the URL's path, unless given.

    Args:
        url: where it is.
        filename: its name.

    Raises:
        ValueError: the URL is of another kind.
        urllib.error.URLError: on first use; it cannot be fetched.
    """

    def __init__(self, url: str, filename: str | None = None) -> None:
        parsed = urllib.parse.urlparse(url)
        if parsed.scheme not in ("http", "https"):
            raise ValueError(
                f"URLFile requires an HTTP or HTTPS URL, one that begins with http:// or https://, not {url!r}"
            )
        self.name = filename or parsed.path.rpartition("/")[2]
        self._url = url
        self._opened: IO[bytes] | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes; all that is left where `size` is negative or `None`."""
        return self._response().read(-1 if size is None else size)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response())

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        super().close()

    def __getattr__(self, name: str) -> Any:
        # Whatever else is asked for (status, headers, ...) is a matter of the response.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._response(), name)

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "url": self._url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.name, self._url, self._opened = state["name"], state["url"], None

    def __repr__(self) -> str:
        state = f"for {self._url!r}" if self._opened is None else f"wrapping {self._opened!r}"
        return f"<URLFile at 0x{id(self):x} {state}>"

    def _response(self) -> IO[bytes]:
        if self._opened is None:
            agent = os.environ.get("COG_USER_AGENT")
            request = urllib.request.Request(self._url, headers={"User-Agent": agent} if agent else {})  # noqa: S310
            self._opened = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310 - http or https
        return self._opened


class URLPath(pathlib.PosixPath):
    """A `Path` whose file is downloaded when `convert` is called.

    Attributes:
        source: the URL; also what `str` gives.
        filename: the name that the file's own name ends in.
        fileobj: what is read.
    """

    def __init__(self, *, source: str, filename: str, fileobj: io.IOBase) -> None:
        filename = _shorten(filename)
        if sys.version_info >= (3, 12):
            super().__init__(filename)
        self.source = source
        self.filename = filename
        self.fileobj = fileobj
        self._path: Path | None = None

    def __new__(cls, *, source: str, filename: str, fileobj: io.IOBase) -> URLPath:  # noqa: ARG004
        return super().__new__(cls, filename)

    def convert(self) -> Path:
        """The path of a temporary file with the content, downloaded by the first call."""
        if self._path is None:
            with tempfile.NamedTemporaryFile(suffix=self.filename, delete=False) as file:
                shutil.copyfileobj(self.fileobj, file)
            self._path = Path(file.name)
        return self._path

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the temporary file, if there is one."""
        if self._path is not None:
            self._path.unlink(missing_ok=missing_ok)

    def __str__(self) -> str:
        return self.source


class ConcatenateIterator(Iterator[Item], Generic[Item]):
    """The return type of a `predict` that yields pieces of one text."""

    @abstractmethod
    def __next__(self) -> Item: ...


class AsyncConcatenateIterator(AsyncIterator[Item], Generic[Item]):
    """The return type of an async `predict` that yields pieces of one text."""

    @abstractmethod
    async def __anext__(self) -> Item: ...


def get_filename(url: str) -> str:
    """A file name for what a URL points to: of a data URL `file` and the extension of its type, else the URL's own.

    Raises:
        ValueError: a data URL is malformed.
    """
    parsed = urllib.parse.urlparse(url)
    if parsed.scheme == "data":
        with urllib.request.urlopen(url) as response:  # noqa: S310 - the scheme is data
            return "file" + (mimetypes.guess_extension(response.headers.get_content_type()) or "")
    name = _shorten(urllib.parse.unquote_plus(parsed.path.rpartition("/")[2]))
    for character in FILENAME_ILLEGAL_CHARS:
        name = name.replace(character, "_")
    return name


def _shorten(name: str) -> str:
    """`name`, its stem cut and marked by `~` where it is longer than `FILENAME_MAX_LENGTH` bytes."""
    if len(name.encode()) <= FILENAME_MAX_LENGTH:
        return name
    extension = pathlib.PurePosixPath(name).suffix
    room = FILENAME_MAX_LENGTH - 1 - len(extension.encode())
    if room < 1:
        extension, room = "", FILENAME_MAX_LENGTH - 1
    return f"{name.encode()[:room].decode(errors='ignore')}~{extension}"
