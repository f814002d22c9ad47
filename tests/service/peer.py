"""A peer on a real socket that answers as badly as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field


@dataclass
class Request:
    """A request as it came in; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Handler = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """Where the server listens, and what it was asked so far.

    Attributes:
        url: its base URL, without a slash at the end.
        requests: in the order in which they were complete.
    """

    url: str
    requests: list[Request] = field(default_factory=list)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait_for(self, count: int) -> list[Request]:
        """Wait until there were `count` requests."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def _serve(self, handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer):
            while not writer.is_closing():
                request = await _read(reader)
                async with self._arrived:
                    self.requests.append(request)
                    self._arrived.notify_all()
                await handler(request, writer)
                await writer.drain()


@asynccontextmanager
async def running_peer(handler: Handler) -> AsyncIterator[Peer]:
    """Serve on a free port of this machine; a handler writes raw bytes, and may close the connection or never end."""
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
    peer = Peer("")

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[asyncio.create_task(peer._serve(handler, reader, writer))] = writer

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()
        for task, writer in connections.items():
            task.cancel()
            # A transport of asyncio that has lost its connection has no loop any more to abort it with.
            with suppress(AttributeError):
                writer.transport.abort()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in connections.values()), return_exceptions=True)


def response(status: str = "200 OK", body: bytes = b"", **headers: str) -> bytes:
    """The bytes of an HTTP response. Underscores in `headers` become dashes; a given `content_length` may lie."""
    headers = {"content_length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def answering(status: str = "200 OK", body: bytes = b"", **headers: str) -> Handler:
    """A handler that gives everybody the same response."""

    async def handler(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(response(status, body, **headers))

    return handler


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)
