"""The files of a prediction's output: what the model puts out as a file, the client gets as a URL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from server.errors import OutputError
from server.service import data_urls
from server.service.client import discard_body, http_url
from server.service.media_types import media_type_of
from server.service.threads import in_thread
from server.tracing import client_span
from server.worker.messages import LocalFile

_AT_ONCE = 8
_MOST_REDIRECTS = 10
_PIECE = 1 << 20


class Outputs(Protocol):
    """Where the files that a model puts out are published."""

    async def publish(self, value: Any, prediction_id: str) -> Any:
        """Give `value` back with each `LocalFile` in it replaced by a URL.

        Raises:
            OutputError: that cannot be done.
        """


def files_in(value: Any) -> Iterator[LocalFile]:
    """Each `LocalFile` in a JSON tree."""
    match value:
        case LocalFile():
            yield value
        case list():
            for item in value:
                yield from files_in(item)
        case dict():
            yield from files_in(list(value.values()))


class DataUrls:
    """Publishes files inside the response itself, as base64."""

    async def publish(self, value: Any, prediction_id: str) -> Any:  # noqa: ARG002
        """Give `value`, a JSON tree, back with a `data:` URL in the place of each `LocalFile`; it is not changed.

        The media type is that of the file name's extension.

        Raises:
            OutputError: a file cannot be read.
        """
        return await in_thread(_as_data_urls, value) if any(files_in(value)) else value


class Uploads:
    """Publishes files by PUT to a server that keeps them.

    Args:
        base_url: where they go: a file is put to this URL, a slash and its name.
        client: what to upload with.

    Raises:
        ValueError: `base_url` is not an http or https URL.
    """

    def __init__(self, base_url: str, client: httpx.AsyncClient) -> None:
        try:
            http_url(base_url)
        except ValueError as error:
            raise ValueError(f"Files cannot be uploaded to {base_url!r}: {error}.") from error
        self._base_url = base_url.rstrip("/")
        self._client = client

    async def publish(self, value: Any, prediction_id: str) -> Any:
        """Upload each `LocalFile` that is `value` or an item of it, several at a time, and give the URLs back in order.

        The URL of a file is the `Location` in the answer, without its query, or else where the file was put. Files
        deeper inside become `data:` URLs.

        Raises:
            OutputError: a file cannot be read, or the server did not take it; the other uploads are stopped.
        """
        if not any(files_in(value)):
            return value
        items = value if isinstance(value, list) else [value]
        turn = asyncio.Semaphore(_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as tasks:
                published = [tasks.create_task(self._publish_item(item, prediction_id, turn)) for item in items]
        except ExceptionGroup as group:
            first = group.exceptions[0]
        else:
            results = [task.result() for task in published]
            return results if isinstance(value, list) else results[0]
        raise first

    async def _publish_item(self, item: Any, prediction_id: str, turn: asyncio.Semaphore) -> Any:
        if not isinstance(item, LocalFile):
            return await DataUrls().publish(item, prediction_id)
        async with turn:
            try:
                with client_span("PUT", "output", self._base_url):
                    return await self._upload(Path(item.path), prediction_id)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                reason = str(error) or type(error).__name__
                raise OutputError(f"Failed to upload output: upload request failed: {reason}") from error
            except OSError as error:
                raise _unreadable(item, error) from error

    async def _upload(self, path: Path, prediction_id: str) -> str:
        url = httpx.URL(f"{self._base_url}/{quote(os.fsencode(path.name), safe='')}")
        for _ in range(1 + _MOST_REDIRECTS):
            response = await self._put(http_url(url), path, prediction_id)
            location = response.headers.get("Location", "")
            if response.has_redirect_location:
                url = url.join(location)
            elif response.is_success:
                return str(url.join(location).copy_with(query=None) if location else url)
            else:
                reason = httpx.codes.get_reason_phrase(response.status_code) or response.reason_phrase
                raise OutputError(f"Failed to upload output: upload returned status {response.status_code} {reason}")
        raise OutputError(f"Failed to upload output: upload exceeded {_MOST_REDIRECTS} redirects")

    async def _put(self, url: httpx.URL, path: Path, prediction_id: str) -> httpx.Response:
        size = (await in_thread(path.stat)).st_size
        headers = {
            "Content-Type": media_type_of(path.name),
            "Content-Length": str(size),
            "X-Prediction-Id": quote(prediction_id),
        }
        request = self._client.build_request("PUT", url, content=_pieces(path), headers=headers)
        response = await self._client.send(request, stream=True, follow_redirects=False)
        await discard_body(response)
        return response


def _as_data_urls(value: Any) -> Any:
    match value:
        case LocalFile(path=path):
            try:
                return data_urls.encode(Path(path))
            except OSError as error:
                raise _unreadable(value, error) from error
        case list():
            return [_as_data_urls(item) for item in value]
        case dict():
            return {key: _as_data_urls(item) for key, item in value.items()}
        case _:
            return value


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with await in_thread(path.open, "rb") as file:
        while piece := await in_thread(file.read, _PIECE):
            yield piece


def _unreadable(file: LocalFile, error: OSError) -> OutputError:
    return OutputError(f"Failed to read output: {Path(file.path).name}: {error.strerror}")
