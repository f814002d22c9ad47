from __future__ import annotations

import asyncio
import base64
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.errors import OutputError
from server.service.client import http_client
from server.service.media_types import extension_of, media_type_of
from server.service.outputs import DataUrls, Uploads
from server.worker.messages import LocalFile
from tests.service.peer import Handler, Request, answering, response, running_peer

COG_MEDIA_TYPES: dict[str, str] = json.loads((Path(__file__).parent / "cog_media_types.json").read_text())
"""What Cog 0.23.1 sent for a file `f` with each of these extensions."""


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client() as client:
        yield client


class Folder:
    """Makes the files that a model would have put out."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def file(self, name: str, content: bytes = b"x") -> LocalFile:
        path = self._path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return LocalFile(str(path))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize(("extension", "media_type"), COG_MEDIA_TYPES.items())
def test_media_types_are_those_of_cog(extension: str, media_type: str) -> None:
    assert media_type_of(f"f{extension}") == media_type
    assert media_type_of(f"f{extension.upper()}") == media_type


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("noext", "application/octet-stream"),
        (".png", "application/octet-stream"),
        ("x.", "application/octet-stream"),
        ("x.png.", "application/octet-stream"),
        ("x.tar.gz", "application/gzip"),
        ("a.b c.é.jpg", "image/jpeg"),
        ("x.unheard-of", "application/octet-stream"),
    ],
)
def test_the_last_extension_decides_as_in_cog(name: str, media_type: str) -> None:
    assert media_type_of(name) == media_type


@pytest.mark.parametrize(
    "extension", [".png", ".jpg", ".webp", ".gif", ".mp4", ".wav", ".mp3", ".json", ".txt", ".zip"]
)
def test_a_media_type_leads_back_to_its_usual_extension(extension: str) -> None:
    assert extension_of(media_type_of(f"f{extension}")) == extension


async def test_files_become_data_urls_wherever_they_are(folder: Folder) -> None:
    value = {
        "image": folder.file("a.PNG", b"\x89PNG"),
        "list": [folder.file("b.wav"), {"deep": folder.file("c")}, 1.5, None],
        "text": "plain",
    }
    published = await DataUrls().publish(value, "id")
    assert published == {
        "image": "data:image/png;base64,iVBORw==",
        "list": ["data:audio/wav;base64,eA==", {"deep": "data:application/octet-stream;base64,eA=="}, 1.5, None],
        "text": "plain",
    }
    assert isinstance(value["image"], LocalFile)


async def test_one_file_and_an_empty_one(folder: Folder) -> None:
    assert await DataUrls().publish(folder.file("a.png"), "id") == "data:image/png;base64,eA=="
    assert await DataUrls().publish(folder.file("e.png", b""), "id") == "data:image/png;base64,"


@pytest.mark.parametrize("value", [None, "text", 3, 2.5, True, [], {}, ["a", {"b": [1]}]])
async def test_values_without_files_stay(value: Any, client: httpx.AsyncClient) -> None:
    assert await DataUrls().publish(value, "id") == value
    assert await Uploads("http://127.0.0.1:1", client).publish(value, "id") == value


async def test_a_large_file_is_encoded_whole_without_many_copies(folder: Folder) -> None:
    content = bytes(range(251)) * 100_000
    file = folder.file("large.bin", content)
    tracemalloc.start()
    try:
        published = await DataUrls().publish(file, "id")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert published == "data:application/octet-stream;base64," + base64.b64encode(content).decode()
    assert peak < 3 * len(published)


async def test_a_file_that_is_gone_is_an_error(tmp_path: Path, client: httpx.AsyncClient) -> None:
    gone = LocalFile(str(tmp_path / "gone.png"))
    for publisher in (DataUrls(), Uploads("http://127.0.0.1:1", client)):
        with pytest.raises(OutputError, match=r"^Failed to read output: gone\.png: No such file or directory$"):
            await publisher.publish([gone], "id")


async def test_an_upload_carries_name_type_id_and_bytes(folder: Folder, client: httpx.AsyncClient) -> None:
    content = bytes(range(256)) * (3 << 12)  # three pieces of the stream
    async with running_peer(answering("201 Created")) as peer:
        published = await Uploads(f"{peer.url}/up/", client).publish(folder.file("a.png", content), "pred_1")
        assert published == f"{peer.url}/up/a.png"
        (request,) = peer.requests
    assert (request.method, request.target) == ("PUT", "/up/a.png")
    assert request.headers["content-type"] == "image/png"
    assert request.headers["x-prediction-id"] == "pred_1"
    assert request.headers["content-length"] == str(len(content))
    assert "transfer-encoding" not in request.headers
    assert request.body == content


async def test_names_and_ids_are_percent_encoded(folder: Folder, client: httpx.AsyncClient) -> None:
    async with running_peer(answering()) as peer:
        published = await Uploads(peer.url, client).publish(folder.file("a b#?é%.png"), "é\n")
        assert published == f"{peer.url}/a%20b%23%3F%C3%A9%25.png"
        assert peer.requests[0].target == "/a%20b%23%3F%C3%A9%25.png"
        assert peer.requests[0].headers["x-prediction-id"] == "%C3%A9%0A"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://cdn.example/x/y.png?signature=1", "http://cdn.example/x/y.png"),
        ("gs://bucket/y.png?x=1", "gs://bucket/y.png"),
        ("/other/y.png?signature=1", "{url}/other/y.png"),
        ("", "{url}/up/a.png"),
    ],
)
async def test_the_location_is_the_output(
    folder: Folder, client: httpx.AsyncClient, location: str, expected: str
) -> None:
    async with running_peer(answering("201 Created", location=location)) as peer:
        published = await Uploads(f"{peer.url}/up", client).publish(folder.file("a.png"), "id")
        assert published == expected.format(url=peer.url)


async def test_a_list_is_uploaded_at_once_and_stays_in_order(folder: Folder, client: httpx.AsyncClient) -> None:
    async def last_first(request: Request, writer: asyncio.StreamWriter) -> None:
        await peer.wait_for(3)
        if request.target != "/2.png":
            await answered.wait()
        writer.write(response("201 Created", location=f"http://cdn{request.target}"))
        answered.set()

    answered = asyncio.Event()
    async with running_peer(last_first) as peer:
        files = [folder.file(f"{index}.png") for index in range(3)]
        published = await Uploads(peer.url, client).publish([files[0], "text", files[1], 3, files[2]], "id")
    assert published == ["http://cdn/0.png", "text", "http://cdn/1.png", 3, "http://cdn/2.png"]


async def test_files_deeper_inside_stay_data_urls(folder: Folder, client: httpx.AsyncClient) -> None:
    uploads = Uploads("http://127.0.0.1:1", client)
    file = folder.file("a.png")
    url = "data:image/png;base64,eA=="
    assert await uploads.publish({"f": file}, "id") == {"f": url}
    assert await uploads.publish([[file], {"f": file}], "id") == [[url], {"f": url}]


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
async def test_a_redirected_upload_is_put_again(folder: Folder, client: httpx.AsyncClient, status: str) -> None:
    async def redirect(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(response(status, location="/b/a.png") if request.target == "/a.png" else response())

    async with running_peer(redirect) as peer:
        assert await Uploads(peer.url, client).publish(folder.file("a.png"), "id") == f"{peer.url}/b/a.png"
        assert [(request.method, request.target, request.body) for request in peer.requests] == [
            ("PUT", "/a.png", b"x"),
            ("PUT", "/b/a.png", b"x"),
        ]


# The first four in the words of Cog.
@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (answering("500 Internal Server Error"), "upload returned status 500 Internal Server Error"),
        (answering("404 Whatever"), "upload returned status 404 Not Found"),
        (answering("429 Too Many Requests"), "upload returned status 429 Too Many Requests"),
        (answering("304 Not Modified"), "upload returned status 304 Not Modified"),
        (answering("599 Weird"), "upload returned status 599 Weird"),
        (answering("302 Found", location="/again"), "upload exceeded 10 redirects"),
        (answering("302 Found", location="ftp://x/"), "upload request failed: it is not an http or https URL"),
        (
            answering("302 Found", location="http://h:port/"),
            "upload request failed: Invalid URL in location header: Invalid port: 'port'.",
        ),
        (answering("201 Created", location="http://h:port/"), "upload request failed: Invalid port: 'port'"),
    ],
)
async def test_a_failed_upload_is_an_error(
    folder: Folder, client: httpx.AsyncClient, handler: Handler, reason: str
) -> None:
    async with running_peer(handler) as peer:
        with pytest.raises(OutputError) as caught:
            await Uploads(peer.url, client).publish([folder.file("a.png"), "text"], "id")
    assert str(caught.value) == f"Failed to upload output: {reason}"


async def test_a_server_that_hangs_up_or_is_not_there_is_an_error(folder: Folder, client: httpx.AsyncClient) -> None:
    async def hang_up(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with running_peer(hang_up) as peer:
        uploads = Uploads(peer.url, client)
        with pytest.raises(OutputError, match=r"^Failed to upload output: upload request failed: Server disconnected"):
            await uploads.publish(folder.file("a.png"), "id")
    with pytest.raises(OutputError, match=r"^Failed to upload output: upload request failed: All connection attempts"):
        await uploads.publish(folder.file("a.png"), "id")


async def test_a_server_that_refuses_before_it_has_read_all_is_an_error(
    folder: Folder, client: httpx.AsyncClient
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response("413 Content Too Large", connection="close"))
        with suppress(ConnectionError):
            await writer.drain()
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        hung_up.set()

    hung_up = asyncio.Event()
    file = folder.file("large.bin", bytes(8 << 20))
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OutputError, match="upload returned status 413"):
            await Uploads(f"http://127.0.0.1:{port}", client).publish(file, "id")
        await hung_up.wait()


async def test_a_server_that_never_answers_is_an_error(folder: Folder) -> None:
    async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with running_peer(hang) as peer, httpx.AsyncClient(timeout=httpx.Timeout(30, read=0.05)) as client:
        with pytest.raises(OutputError, match="upload request failed: ReadTimeout"):
            await Uploads(peer.url, client).publish(folder.file("a.png"), "id")


async def test_a_canceled_upload_ends(folder: Folder, client: httpx.AsyncClient) -> None:
    async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with running_peer(hang) as peer:
        task = asyncio.create_task(Uploads(peer.url, client).publish([folder.file("a.png")], "id"))
        await peer.wait_for(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("base_url", ["", "up", "ftp://host/up", "http://", "http://host:99999/"])
def test_a_base_url_that_is_none_is_refused(base_url: str, client: httpx.AsyncClient) -> None:
    with pytest.raises(ValueError, match=r"^Files cannot be uploaded to "):
        Uploads(base_url, client)
