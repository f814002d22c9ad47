"""Paths, files and secrets."""

from __future__ import annotations

import io
import pathlib
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from server.cog import File, Path, Secret, URLFile, URLPath
from server.cog.types import FILENAME_MAX_LENGTH, get_filename

DATA = "data:text/plain;base64,aGVsbG8="


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/missing" else 200)
        self.end_headers()
        self.wfile.write(f"first\n{self.headers['User-Agent']}\n".encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret("hunter2")
    assert (str(secret), repr(secret), f"{secret}") == ("**********", "Secret(**********)", "**********")
    assert secret.get_secret_value() == "hunter2"
    assert (str(Secret()), repr(Secret())) == ("", "Secret()")
    assert Secret("a") == Secret("a")


def test_paths_stay_paths() -> None:
    path = Path("/tmp") / "a.png"
    assert type(path) is Path
    assert isinstance(path, pathlib.Path)
    assert Path.validate(path) is path
    assert Path.validate("/tmp/a.png") == path


def test_a_url_becomes_a_path_when_it_is_converted() -> None:
    path = Path.validate(DATA)
    assert isinstance(path, URLPath)
    assert isinstance(path, pathlib.Path)
    assert (str(path), path.filename) == (DATA, "file.txt")
    converted = path.convert()
    assert type(converted) is Path
    assert converted.name.endswith("file.txt")
    assert converted.read_text() == "hello"
    assert path.convert() is converted
    path.unlink()
    assert not converted.exists()
    path.unlink(missing_ok=True)


def test_files_of_data_urls_and_open_files() -> None:
    file = File.validate(DATA)
    assert isinstance(file, io.BytesIO)
    assert file.read() == b"hello"
    assert File.validate(file) is file


@pytest.mark.parametrize("url", ["ftp://example.com/a", "/tmp/a", "a"])
def test_files_of_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"not a valid URL scheme\. 'data', 'http', or 'https' is supported"):
        File.validate(url)
    with pytest.raises(ValueError, match="HTTP or HTTPS URL"):
        URLFile(url)


def test_a_url_file_is_fetched_when_it_is_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COG_USER_AGENT", "tester")
    file = File.validate(f"{url}/folder/a.txt?b=c")
    assert isinstance(file, URLFile)
    assert file.name == "a.txt"
    assert "for 'http" in repr(file)
    assert file.read(5) == b"first"
    assert "wrapping" in repr(file)
    assert file.status == 200
    assert list(file) == [b"\n", b"tester\n"]
    file.close()
    assert file.closed


def test_a_url_file_survives_pickling(url: str) -> None:
    file = URLFile(url, "named.txt")
    with file, pickle.loads(pickle.dumps(file)) as copy:
        assert copy.name == "named.txt"
        assert copy.readline() == b"first\n"


def test_a_url_file_that_cannot_be_had_says_so(url: str) -> None:
    with pytest.raises(OSError, match="404"):
        URLFile(f"{url}/missing").read()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/folder/a%20b+c.png?x=1#y", "a b c.png"),
        ("https://example.com/a%2Fb%00c.png", "a_b_c.png"),
        ("https://example.com/", ""),
        ("data:image/png;base64,aaaa", "file.png"),
        ("data:unknown/type;base64,aaaa", "file"),
    ],
)
def test_file_names_of_urls(url: str, name: str) -> None:
    assert get_filename(url) == name


@pytest.mark.parametrize("extension", [".png", "." + "x" * 300, ""])
def test_long_file_names_are_cut(extension: str) -> None:
    name = get_filename(f"https://example.com/{'é' * 300}{extension}")
    assert len(name.encode()) <= FILENAME_MAX_LENGTH
    assert "~" in name
    assert name.endswith(extension if len(extension) < 100 else "~")
