"""A stand-in for web servers that offer weights: any site, and CivitAI with the store that it sends its clients to."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Page:
    """What is at a path.

    Attributes:
        body: its contents.
        headers: sent with it.
        location: where clients are sent instead.
        token: it is open only to those who have this.
        breaks_at: after how many bytes the connection is cut, once.
    """

    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    location: str | None = None
    token: str | None = None
    breaks_at: int | None = None


@dataclass
class Web:
    """The stand-in.

    Attributes:
        url: where it listens.
        pages: what there is, by path.
        asked: the path, the first byte and the token of each request.
    """

    url: str = ""
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, int, str | None]] = field(default_factory=list)

    def add_json(self, path: str, value: object) -> None:
        """Put a document at a path."""
        self.pages[path] = Page(json.dumps(value).encode(), {"Content-Type": "application/json"})


@contextmanager
def serve_web(host: str = "127.0.0.1") -> Iterator[Web]:
    """Run a stand-in on a free port."""
    web = Web()

    class Handler(_Handler):
        site = web

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.url = f"http://{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    site: Web
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        page, token = self.site.pages.get(path), self.headers.get("Authorization")
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        self.site.asked.append((path, start, token))
        if page is None:
            self._head(404, {}, 0)
        elif page.token and token != f"Bearer {page.token}":
            self._head(401, {}, 0)
        elif page.location:
            self._head(302, {"Location": page.location}, 0)
        elif start and self.headers.get("If-Range") != page.headers.get("ETag"):
            self._send(page, 200, 0)
        elif start >= len(page.body) and start:
            self._head(416, {"Content-Range": f"bytes */{len(page.body)}"}, 0)
        else:
            self._send(page, 206 if asked else 200, start)

    def _send(self, page: Page, status: int, start: int) -> None:
        self._head(status, page.headers, len(page.body) - start)
        # A client that has seen enough is gone.
        with suppress(ConnectionError):
            self.wfile.write(page.body[start : page.breaks_at])
        if page.breaks_at is not None:
            page.breaks_at = None
            self.close_connection = True

    def _head(self, status: int, headers: dict[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
