"""The files of a prediction's input: what a client gives as a URL, the model gets as a file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote_plus, urlparse

import httpx

from server.discretion import without_secrets
from server.errors import InputFileError
from server.schema.signature import Kind, Signature, ValueType
from server.service import data_urls
from server.service.client import http_url, send_following
from server.service.media_types import extension_of
from server.service.threads import in_thread
from server.tracing import answered, client_span
from server.worker.messages import LocalFile

logger = logging.getLogger(__name__)

_SCHEMES = ("http://", "https://", "data:")
_FILES = (Kind.PATH, Kind.FILE)

_AT_ONCE = 8
_MOST_FILES = 10_000
_MOST_REDIRECTS = 30

# What httpx decodes by itself without ever growing one piece a thousandfold more than once.
_CODINGS = ("", "identity", "gzip", "deflate")
_PIECE = 1 << 20

# A name with the eight digits before it has to stay below the 255 bytes that file systems allow.
_LONGEST_NAME = 200
_LONGEST_EXTENSION = 50


async def fetch_inputs(
    input: dict[str, Any],
    signature: Signature,
    directory: Path,
    client: httpx.AsyncClient,
    max_bytes: int,
) -> dict[str, Any]:
    """Store the files that `input` points to, several at a time, and put `LocalFile`s in their places.

    A string that starts with `http://`, `https://` or `data:`, where the signature takes a path or a file (also in a
    list or as one member of a union), is such a pointer; every other value stays as it is.

    Args:
        input: validated JSON; it is not changed.
        signature: the types of the inputs.
        directory: an existing, empty folder of this prediction's own. A file in it is named `tmp`, eight digits, and
            the end of the URL's path, or `file` and the extension of the data URL's media type.
        client: what to download with.
        max_bytes: the size that no single file may exceed.

    Raises:
        InputFileError: a file could not be fetched, decoded or stored, is too large, or there are too many. Of it
            nothing is left; files that were complete by then are.
    """
    types = {field.name: (field.type,) for field in signature.inputs}
    try:
        async with asyncio.TaskGroup() as tasks:
            fetcher = _Fetcher(directory, client, max_bytes, tasks, asyncio.Semaphore(_AT_ONCE))
            return {name: fetcher.resolve(value, types.get(name, ()), name) for name, value in input.items()}
    except ExceptionGroup as group:
        first = group.exceptions[0]
    raise first


@dataclass
class _Fetcher:
    """Fetches what one prediction asks for.

    Attributes:
        tasks: where a download goes on once its file has a name.
        turn: how many of them at once.
        files: how many there are so far.
    """

    directory: Path
    client: httpx.AsyncClient
    max_bytes: int
    tasks: asyncio.TaskGroup
    turn: asyncio.Semaphore
    files: int = 0

    def resolve(self, value: Any, types: Sequence[ValueType], where: str) -> Any:
        """Give the value back with `LocalFile`s for the pointers in it, and start to fetch those."""
        members = [member for type_ in types for member in (type_.items if type_.kind is Kind.UNION else (type_,))]
        items = [member.items[0] for member in members if member.kind is Kind.LIST and _takes_files(member)]
        match value:
            case str() if value.startswith(_SCHEMES) and any(member.kind in _FILES for member in members):
                return self._start(value, where)
            case list() if items:
                return [self.resolve(item, items, f"{where}/{index}") for index, item in enumerate(value)]
            case _:
                return value

    def _start(self, url: str, where: str) -> LocalFile:
        self.files += 1
        if self.files > _MOST_FILES:
            _tell(where, url, f"there are more than {_MOST_FILES} files")
            raise _failure(where, f"a prediction may have {_MOST_FILES} files at most. Pack them into an archive")
        try:
            name = _data_name(url) if url.startswith("data:") else _http_name(url)
        except ValueError as error:
            _tell(where, url, "it is not a valid URL")
            raise _failure(where, f"{_shown(url)}: {error}") from error
        path = self.directory / f"tmp{self.files:08}{name}"
        self.tasks.create_task(self._store(url, path, where))
        return LocalFile(str(path))

    async def _store(self, url: str, path: Path, where: str) -> None:
        async with self.turn:
            try:
                with _LimitedFile(path, self.max_bytes) as file:
                    if url.startswith("data:"):
                        await in_thread(_write_data, url, file)
                    else:
                        await self._download(url, file)
            except httpx.HTTPStatusError as error:
                _tell(where, url, f"the server answered {error.response.status_code}")
                # In the words of Cog, which clients may look for.
                raise InputFileError(f"Input validation error: {error}") from error
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
                # A ValueError that was raised from another error quotes what it was given.
                quotes = isinstance(error, ValueError) and error.__cause__ is not None
                _tell(where, url, "it is not valid" if quotes else _reason(error))
                raise _failure(where, f"{_shown(url)}: {_reason(error)}") from error

    async def _download(self, url: str, file: _LimitedFile) -> None:
        request = self.client.build_request("GET", http_url(url), headers={"Accept-Encoding": "identity"})
        with client_span("GET", "input", str(request.url)) as current:
            response = await send_following(self.client, request, _MOST_REDIRECTS)
            answered(current, response.status_code)
            await self._save(response, file)

    async def _save(self, response: httpx.Response, file: _LimitedFile) -> None:
        try:
            _check_status(response)
            coding = response.headers.get("Content-Encoding", "").strip().lower()
            if coding not in _CODINGS:
                raise ValueError(f"the server sent the content coding {coding!r}, which was not asked for")
            announced = response.headers.get("Content-Length", "")
            if announced.isdecimal() and int(announced) > self.max_bytes:
                raise _too_large(self.max_bytes)
            async for piece in response.aiter_bytes(_PIECE):
                await in_thread(file.write, piece)
        finally:
            await response.aclose()


class _LimitedFile:
    """A new file that may grow up to a size. It is removed again where the `with` block around it fails."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._left = self._max_bytes = max_bytes

    def __enter__(self) -> Self:
        self._file = self._path.open("xb")
        return self

    def write(self, piece: bytes) -> None:
        """Append.

        Raises:
            ValueError: that is too much.
        """
        self._left -= len(piece)
        if self._left < 0:
            raise _too_large(self._max_bytes)
        self._file.write(piece)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        if error is not None:
            self._path.unlink(missing_ok=True)


def _takes_files(type_: ValueType) -> bool:
    return type_.kind in _FILES or any(map(_takes_files, type_.items))


def _write_data(url: str, file: _LimitedFile) -> None:
    for piece in data_urls.decode(url):
        file.write(piece)


def _check_status(response: httpx.Response) -> None:
    if response.is_success:
        return
    kind = {4: "Client Error", 5: "Server Error"}.get(response.status_code // 100)
    if kind is None:
        raise ValueError(f"the server answered {response.status_code} {response.reason_phrase}, and with no file")
    raise httpx.HTTPStatusError(
        f"{response.status_code} {kind}: {response.reason_phrase} for url: {response.url}",
        request=response.request,
        response=response,
    )


def _data_name(url: str) -> str:
    return "file" + extension_of(data_urls.media_type(url))


def _http_name(url: str) -> str:
    segment = unquote_plus(urlparse(url).path.rpartition("/")[2])
    encoded = segment.replace("/", "_").replace("\0", "_").encode(errors="replace")
    stem, dot, extension = encoded.rpartition(b".")
    if len(encoded) <= _LONGEST_NAME:
        return encoded.decode()
    if len(extension) > _LONGEST_EXTENSION:
        stem, dot, extension = encoded, b"", b""
    end = b"~" + dot + extension
    return stem[: _LONGEST_NAME - len(end)].decode(errors="ignore") + end.decode(errors="ignore")


def _too_large(max_bytes: int) -> ValueError:
    return ValueError(f"the file is larger than the {max_bytes} bytes that this server takes")


def _failure(where: str, reason: str) -> InputFileError:
    return InputFileError(f"Input validation error: {where}: {reason}.")


def _tell(where: str, url: str, reason: str) -> None:
    facts = {"input": where, "source": without_secrets(url), "reason": reason}
    logger.warning("File of an input could not be had", extra=facts)


def _shown(url: str) -> str:
    start = url if len(url) <= _LONGEST_NAME else f"{url[:80]}… ({len(url)} characters)"
    return start.encode(errors="replace").decode()  # JSON can name half a surrogate pair, UTF-8 cannot


def _reason(error: Exception) -> str:
    match error:
        case httpx.TimeoutException():
            return f"the server did not answer in time ({type(error).__name__})"
        case httpx.TransportError():
            return f"it could not be fetched ({error})"
        case OSError(strerror=str(strerror)):
            return f"it could not be stored ({strerror})"
        case _:
            return str(error)
