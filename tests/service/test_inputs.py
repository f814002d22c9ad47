from __future__ import annotations

import asyncio
import base64
import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.errors import InputFileError
from server.schema.signature import InputField, Kind, OutputType, Signature, ValueType
from server.service.client import http_client
from server.service.inputs import fetch_inputs
from server.worker.messages import LocalFile
from tests.service.peer import Handler, Request, answering, response, running_peer

PATH = ValueType(Kind.PATH)
FILE = ValueType(Kind.FILE)
STRING = ValueType(Kind.STRING)
MAX_BYTES = 4 << 20


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client() as client:
        yield client


class Fetch:
    """`fetch_inputs` for inputs of the types given by name, into a folder of its own."""

    def __init__(self, directory: Path, client: httpx.AsyncClient) -> None:
        self.directory = directory
        self._client = client

    async def __call__(self, values: dict[str, Any], **types: ValueType) -> dict[str, Any]:
        fields = tuple(InputField(name, type_, required=True) for name, type_ in types.items())
        signature = Signature(fields, OutputType(STRING))
        return await fetch_inputs(values, signature, self.directory, self._client, MAX_BYTES)

    async def path(self, url: str) -> Path:
        """Fetch one file."""
        file = (await self({"image": url}, image=PATH))["image"]
        assert isinstance(file, LocalFile)
        return Path(file.path)

    async def refusal(self, url: str) -> str:
        """Fetch one file in vain and tell why; nothing may be left of it."""
        with pytest.raises(InputFileError) as caught:
            await self.path(url)
        assert list(self.directory.iterdir()) == []
        return str(caught.value)


@pytest.fixture
def fetch(tmp_path: Path, client: httpx.AsyncClient) -> Fetch:
    return Fetch(tmp_path, client)


async def echo(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(response(body=f"{request.method} {request.target}".encode()))


def name(path: Path) -> str:
    """The name behind the part that differs from file to file."""
    match = re.fullmatch(r"tmp[a-z0-9_]{8}(.*)", path.name, re.DOTALL)
    assert match, path
    return match.group(1)


# What Cog 0.23.1 made of the same URLs.
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/ok/a.png", "a.png"),
        ("/ok/a%20b.png?x=1.jpg#frag", "a b.png"),
        ("/ok/", ""),
        ("", ""),
        ("/ok/noext", "noext"),
        ("/ok/a%2Fb%00c.txt", "a_b_c.txt"),
        ("/ok/%C3%A9+x.txt", "é x.txt"),
        ("/ok/a;v=1.png", "a"),
        ("/ok/..", ".."),
        ("/ok/" + "n" * 300 + ".png", "n" * 195 + "~.png"),
        ("/ok/" + "%C3%A9" * 150 + ".png", "é" * 97 + "~.png"),
    ],
)
async def test_a_file_is_named_after_the_end_of_its_url(fetch: Fetch, target: str, expected: str) -> None:
    async with running_peer(echo) as peer:
        path = await fetch.path(peer.url + target)
    assert name(path) == expected
    assert path.parent == fetch.directory
    assert path.read_bytes().startswith(b"GET /")


async def test_an_extension_too_long_for_a_file_name_is_cut(fetch: Fetch) -> None:
    async with running_peer(echo) as peer:
        path = await fetch.path(f"{peer.url}/ok/x.{'e' * 250}")
    assert name(path) == f"x.{'e' * 197}~"


@pytest.mark.parametrize(
    ("url", "expected_name", "content"),
    [
        ("data:image/png;base64,aGk=", "file.png", b"hi"),
        ("data:image/webp;base64,aGk=", "file.webp", b"hi"),
        ("data:image/jpeg,raw", "file.jpg", b"raw"),
        ("data:,hi%20there", "file.txt", b"hi there"),
        ("data:text/plain;charset=utf-8,h%C3%A9", "file.txt", "hé".encode()),
        ("data:text/plain;charset=utf-8;base64,aGk=", "file.txt", b"hi"),
        ("data:text/plain;name=my.txt;base64,aGk=", "file.txt", b"hi"),
        ("data:;base64,aGk=", "file.txt", b"hi"),
        ("data:base64,aGk=", "file.txt", b"aGk="),
        ("data:application/octet-stream;base64,aGk=", "file.bin", b"hi"),
        ("data:application/x-foo;base64,aGk=", "file", b"hi"),
        ("data:image/png;base64,aGk%3D", "file.png", b"hi"),
        ("data:image/png;base64,aG\n k=", "file.png", b"hi"),
        ("data:image/png;base64,aGk=#frag", "file.png", b"hi"),
        ("data:image/png;base64,", "file.png", b""),
        ("data:text/plain,a?b=c", "file.txt", b"a?b=c"),
    ],
)
async def test_a_data_url_becomes_a_file_as_in_cog(fetch: Fetch, url: str, expected_name: str, content: bytes) -> None:
    path = await fetch.path(url)
    assert name(path) == expected_name
    assert path.read_bytes() == content


async def test_a_large_data_url_arrives_whole(fetch: Fetch) -> None:
    content = bytes(range(256)) * (MAX_BYTES // 256)
    encoded = base64.encodebytes(content).decode()  # with line breaks, so that no piece ends on a group of four
    assert (await fetch.path(f"data:;base64,{encoded}")).read_bytes() == content


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("data:image/png", "has no comma"),
        ("data:", "has no comma"),
        ("data:image/png;base64,aGk", "Incorrect padding"),
        ("data:image/png;base64,a", "Incorrect padding"),
        ("data:image/png;base64,a!G*k=", "Only base64 data is allowed"),
        ("data:image/png;base64,-_-_", "Only base64 data is allowed"),
        ("data:image/png;base64,aGé=", "Only base64 data is allowed"),
        ("data:image/png;base64,aGk=aGk=", "Excess data after padding"),
        ("data:image/png;base64," + "A" * ((3 << 18) - 1) + "=AAAA", "Excess data after padding"),
        ("data:;base64,AA==" + " " * (6 << 18) + "AAAA", "Excess data after padding"),
        ("data:text/plain,\ud800", "surrogates not allowed"),
        ("data:;base64,\ud800", "Only base64 data is allowed"),
        ("data:;base64," + "AAAA" * (MAX_BYTES // 3 + 1), f"larger than the {MAX_BYTES} bytes"),
        ("data:," + "x" * (MAX_BYTES + 1), f"larger than the {MAX_BYTES} bytes"),
    ],
)
async def test_a_bad_data_url_is_refused_by_the_name_of_the_input(fetch: Fetch, url: str, reason: str) -> None:
    message = await fetch.refusal(url)
    assert message.startswith("Input validation error: image: data:")
    assert reason in message
    assert len(message) < 500
    message.encode()


@pytest.mark.parametrize(
    "value",
    [
        "plain/path.txt",
        "",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://x/y",
        "http:x",
        "HTTP://x/y",
        "DATA:,x",
        " http://x/y",
    ],
)
async def test_any_other_string_stays_a_string_as_in_cog(fetch: Fetch, value: str) -> None:
    assert await fetch({"image": value}, image=PATH) == {"image": value}
    assert await fetch({"image": value}, image=FILE) == {"image": value}


async def test_only_inputs_that_are_files_are_fetched(fetch: Fetch) -> None:
    values = {"text": "data:,x", "any": ["data:,x"], "table": {"a": "data:,x"}, "none": None, "unknown": "data:,x"}
    types = {
        "text": STRING,
        "any": ValueType(Kind.ANY),
        "table": ValueType(Kind.MAPPING, (PATH,)),
        "none": ValueType(Kind.PATH, nullable=True),
    }
    assert await fetch(values, **types) == values
    assert list(fetch.directory.iterdir()) == []


async def test_files_are_found_in_lists_optionals_and_unions(fetch: Fetch) -> None:
    union = ValueType(Kind.UNION, (PATH, ValueType(Kind.INTEGER)))
    types = {
        "file": FILE,
        "maybe": ValueType(Kind.PATH, nullable=True),
        "several": ValueType(Kind.LIST, (PATH,)),
        "either": union,
        "text": ValueType(Kind.UNION, (STRING, PATH)),
        "mixed": ValueType(Kind.UNION, (PATH, ValueType(Kind.LIST, (union,)))),
        "number": union,
    }
    values = {
        "file": "data:,file",
        "maybe": "data:,maybe",
        "several": ["data:,one", "plain", "data:,two"],
        "either": "data:,either",
        "text": "data:,text",
        "mixed": ["data:,mixed", 7],
        "number": 3,
    }
    assert _contents(await fetch(values, **types)) == {
        "file": b"file",
        "maybe": b"maybe",
        "several": [b"one", "plain", b"two"],
        "either": b"either",
        "text": b"text",
        "mixed": [b"mixed", 7],
        "number": 3,
    }
    assert values["file"] == "data:,file"


def _contents(value: Any) -> Any:
    match value:
        case LocalFile(path=path):
            return Path(path).read_bytes()
        case list():
            return [_contents(item) for item in value]
        case dict():
            return {key: _contents(item) for key, item in value.items()}
        case _:
            return value


async def test_the_same_url_twice_is_two_files_in_order(fetch: Fetch) -> None:
    async with running_peer(echo) as peer:
        values = await fetch({"images": [f"{peer.url}/a.png"] * 20}, images=ValueType(Kind.LIST, (PATH,)))
    paths = [file.path for file in values["images"]]
    assert len(set(paths)) == 20
    assert {name(Path(path)) for path in paths} == {"a.png"}


async def test_several_files_are_fetched_at_once_but_not_all(fetch: Fetch) -> None:
    waiting = 0
    enough = asyncio.Event()
    most = 0

    async def wait_for_company(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        if waiting == 8:
            enough.set()
        await enough.wait()
        waiting -= 1
        writer.write(response(body=b"x"))

    async with running_peer(wait_for_company) as peer:
        values = await fetch({"images": [f"{peer.url}/x"] * 30}, images=ValueType(Kind.LIST, (PATH,)))
    assert len(values["images"]) == 30
    assert most == 8


async def test_a_redirect_is_followed_with_its_cookies_and_keeps_the_first_name(fetch: Fetch) -> None:
    async def redirect(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target == "/first.png":
            writer.write(response("302 Found", location="/second.jpg", set_cookie="pass=1"))
        else:
            writer.write(response(body=request.headers.get("cookie", "").encode()))

    async with running_peer(redirect) as peer:
        first = await fetch.path(f"{peer.url}/first.png")
        assert first.read_bytes() == b"pass=1"
        assert name(first) == "first.png"
        again = await fetch.path(f"{peer.url}/other")
        assert again.read_bytes() == b"", "a cookie outlived the download that it was given to"


async def test_credentials_in_a_url_are_sent(fetch: Fetch) -> None:
    async with running_peer(echo) as peer:
        await fetch.path(peer.url.replace("//", "//user:secret@"))
        assert peer.requests[0].headers["authorization"] == "Basic " + base64.b64encode(b"user:secret").decode()


# The words are Cog's.
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("404 Not Found", "404 Client Error: Not Found"),
        ("403 Forbidden", "403 Client Error: Forbidden"),
        ("500 Internal Server Error", "500 Server Error: Internal Server Error"),
        ("503 Service Unavailable", "503 Server Error: Service Unavailable"),
        ("404 ", "404 Client Error: "),
    ],
)
async def test_an_error_of_the_server_is_told_as_cog_tells_it(fetch: Fetch, status: str, expected: str) -> None:
    async with running_peer(answering(status, b"no")) as peer:
        url = f"{peer.url}/image.png"
        assert await fetch.refusal(url) == f"Input validation error: {expected} for url: {url}"


async def test_the_url_told_is_the_one_that_failed(fetch: Fetch) -> None:
    async def redirect(request: Request, writer: asyncio.StreamWriter) -> None:
        found = request.target == "/old"
        writer.write(response("302 Found", location="/new") if found else response("404 Not Found"))

    async with running_peer(redirect) as peer:
        message = await fetch.refusal(f"{peer.url}/old")
        assert message == f"Input validation error: 404 Client Error: Not Found for url: {peer.url}/new"


def raw(answer: bytes) -> Handler:
    """A handler that writes bytes and hangs up."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    return handler


BOMB = gzip.compress(bytes(MAX_BYTES * 2))


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        pytest.param(raw(response(body=b"abc", content_length="1000")), "could not be fetched", id="short"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab"), "be fetched", id="chunked"),
        pytest.param(raw(b""), "could not be fetched", id="closed"),
        pytest.param(raw(b"hello\r\n\r\n"), "could not be fetched", id="no-http"),
        pytest.param(answering("302 Found", location="/again"), "exceeded 30 redirects", id="loop"),
        pytest.param(answering("302 Found", location="ftp://x/y"), "not an http or https URL", id="to-ftp"),
        pytest.param(answering("302 Found", location="file:///etc/passwd"), "not an http or https URL", id="to-file"),
        pytest.param(answering("302 Found", location="http://127.0.0.1:99999/"), "no port 99999", id="to-no-port"),
        pytest.param(answering("302 Found", location="http://h:port/"), "Invalid URL", id="to-no-url"),
        pytest.param(answering("302 Found"), "302 Found, and with no file", id="to-nowhere"),
        pytest.param(answering("304 Not Modified"), "304 Not Modified, and with no file", id="not-modified"),
        pytest.param(answering(body=b"x", content_length=str(MAX_BYTES + 1)), f"than the {MAX_BYTES}", id="announced"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(MAX_BYTES + 1)), f"than the {MAX_BYTES}", id="unannounced"),
        pytest.param(answering(body=BOMB, content_encoding="gzip"), f"than the {MAX_BYTES}", id="bomb"),
        pytest.param(answering(body=gzip.compress(BOMB), content_encoding="gzip, gzip"), "coding", id="nested-bomb"),
        pytest.param(answering(body=b"x", content_encoding="br"), "coding 'br'", id="unknown-coding"),
        pytest.param(answering(body=b"not gzip", content_encoding="gzip"), "incorrect header check", id="no-gzip"),
    ],
)
async def test_a_bad_server_fails_the_input_and_leaves_nothing(fetch: Fetch, handler: Handler, reason: str) -> None:
    async with running_peer(handler) as peer:
        message = await fetch.refusal(f"{peer.url}/image.png")
    assert message.startswith(f"Input validation error: image: {peer.url}/image.png: ")
    assert reason in message


async def test_a_compressed_answer_is_unpacked(fetch: Fetch) -> None:
    async with running_peer(answering(body=gzip.compress(b"plain"), content_encoding="gzip")) as peer:
        assert (await fetch.path(f"{peer.url}/x")).read_bytes() == b"plain"


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///x",
        "http://[bad/x",
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1:0/x",
        "http://host:port/x",
        "http://\0/",
        "http://xn--/",
        "http://host/\ud800",
        "http://host.invalid/x",
        "http://" + "a" * 300 + ".com/",
        "http://host/" + "x" * 70_000,
    ],
)
async def test_a_bad_url_fails_the_input(fetch: Fetch, url: str) -> None:
    message = await fetch.refusal(url)
    assert message.startswith("Input validation error: image: http")
    assert len(message) < 500
    message.encode()


async def test_a_server_that_is_not_there_fails_the_input(fetch: Fetch) -> None:
    async with running_peer(echo) as peer:
        url = f"{peer.url}/x"
    assert await fetch.refusal(url) == (
        f"Input validation error: image: {url}: it could not be fetched (All connection attempts failed)."
    )


async def test_a_server_that_never_answers_fails_the_input(tmp_path: Path) -> None:
    async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with running_peer(hang) as peer, httpx.AsyncClient(timeout=httpx.Timeout(30, read=0.05)) as client:
        message = await Fetch(tmp_path, client).refusal(f"{peer.url}/x")
    assert message == f"Input validation error: image: {peer.url}/x: the server did not answer in time (ReadTimeout)."


async def test_a_body_that_stops_halfway_fails_the_input(tmp_path: Path) -> None:
    async def stall(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(response(body=b"half", content_length="8"))
        await writer.drain()
        await asyncio.Event().wait()

    async with running_peer(stall) as peer, httpx.AsyncClient(timeout=httpx.Timeout(30, read=0.05)) as client:
        message = await Fetch(tmp_path, client).refusal(f"{peer.url}/x")
    assert "in time (ReadTimeout)" in message


async def test_the_item_of_a_list_is_named(fetch: Fetch) -> None:
    with pytest.raises(InputFileError, match=r"^Input validation error: images/1: data:image/png: "):
        await fetch({"images": ["data:,x", "data:image/png"]}, images=ValueType(Kind.LIST, (PATH,)))


async def test_one_failure_stops_the_other_downloads(fetch: Fetch) -> None:
    async def serve(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target == "/bad":
            await peer.wait_for(2)
            writer.write(response("404 Not Found"))
        else:
            await asyncio.Event().wait()

    async with running_peer(serve) as peer:
        with pytest.raises(InputFileError, match="404 Client Error"):
            await fetch({"a": f"{peer.url}/endless", "b": f"{peer.url}/bad"}, a=PATH, b=PATH)
    assert list(fetch.directory.iterdir()) == []


async def test_a_cancel_leaves_no_partial_file(fetch: Fetch) -> None:
    async def drip(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(response(body=bytes(2 << 20), content_length=str(3 << 20)))
        await writer.drain()
        await asyncio.Event().wait()

    async with running_peer(drip) as peer:
        task = asyncio.create_task(fetch.path(f"{peer.url}/x"))
        await peer.wait_for(1)
        assert [name(path) for path in fetch.directory.iterdir()] == ["x"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert list(fetch.directory.iterdir()) == []


async def test_too_many_files_are_refused(fetch: Fetch) -> None:
    with pytest.raises(InputFileError, match=r"images/10000: a prediction may have 10000 files at most"):
        await fetch({"images": ["data:,x"] * 10_001}, images=ValueType(Kind.LIST, (PATH,)))


async def test_a_file_that_cannot_be_stored_fails_the_input(fetch: Fetch) -> None:
    fetch.directory.rmdir()
    with pytest.raises(InputFileError, match=r"image: data:,x: it could not be stored \(No such file or directory\)\."):
        await fetch.path("data:,x")
