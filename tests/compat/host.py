"""A web server of the tests' own: it has files that go in, and takes webhooks."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

FILES = {
    "/hello.txt": b"hello\n",
    "/a file.txt": b"spaces\n",
    "/empty": b"",
    "/folder/": b"a folder\n",
}


@dataclass(frozen=True)
class Webhook:
    """One that arrived: its body, and its headers with names in lower case."""

    body: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Host:
    """The server.

    Attributes:
        url: its base URL, without a slash at the end.
    """

    url: str
    _webhooks: dict[str, list[Webhook]] = field(default_factory=lambda: defaultdict(list))
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    def filled(self, text: str) -> str:
        """A text in which `{host}` is the URL."""
        return text.replace("{host}", self.url)

    def webhooks(self, path: str, until: Callable[[list[Webhook]], bool] = bool) -> list[Webhook]:
        """What was POSTed to a path, once that satisfies `until`: unless given, once there is anything."""
        with self._arrived:
            hooks = self._webhooks[path]
            assert self._arrived.wait_for(lambda: until(hooks), timeout=30), f"{path} has only got {hooks}"
            return list(hooks)

    def _take(self, path: str, webhook: Webhook) -> None:
        with self._arrived:
            self._webhooks[path].append(webhook)
            self._arrived.notify_all()


@contextmanager
def running_host() -> Iterator[Host]:
    """Serve `FILES`, redirects from /to/PATH to PATH, and the status N at /status/N.

    It takes every POST for a webhook, and every PUT. Of those below /stored it tells that they were stored elsewhere,
    in a URL that shows size and media type.
    """
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.host
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.host = Host(f"http://127.0.0.1:{self.server_port}")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients may hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/to/"):
            self._answer(302, b"", location=self.path.removeprefix("/to"))
        elif path.startswith("/status/"):
            self._answer(int(path.removeprefix("/status/")), b"no")
        elif path in FILES:
            self._answer(200, FILES[path])
        else:
            self._answer(404, b"no such file")

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length", "0")))
        path = urlsplit(self.path).path
        told = f"{len(content)}-{self.headers['content-type'].replace('/', '-')}"
        if path.startswith("/status/"):
            self._answer(int(path.split("/")[2]), b"no")
        elif path.startswith("/stored/"):
            self._answer(201, b"", location=f"{self.server.host.url}{path}/{told}?secret")
        else:
            self._answer(200, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.host._take(self.path, Webhook(json.loads(body), headers))
        self._answer(200, b"")

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass
