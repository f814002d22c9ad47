"""Clients for tests of the API that must do what no well-behaved one does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import httpx


async def appears(path: Path) -> str:
    """Wait for a file that a predictor writes, and return its text."""
    return await asyncio.to_thread(_appears, path)


def _appears(path: Path) -> str:
    while not path.exists():
        time.sleep(0.005)
    return path.read_text()


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may have many requests under way."""
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        yield client


async def until_refused(url: str) -> None:
    """Wait until the server there takes no more connections."""
    with suppress(httpx.TransportError):
        while True:
            async with client_of(url) as late:
                await late.get("/health-check")


@dataclass
class Connection:
    """A connection on which a test writes what it wants."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def response(self) -> tuple[int, bytes]:
        """Read the status and the body of one response."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        return int(head.split()[1]), await self.reader.readexactly(length)

    def reset(self) -> None:
        """End it at once, as a client does that was killed."""
        self.writer.transport.abort()


@asynccontextmanager
async def connection_to(url: str) -> AsyncIterator[Connection]:
    """A connection of its own, closed afterwards."""
    address = urlparse(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


def post(path: str, body: Any, **headers: str) -> bytes:
    """The bytes of a request with a JSON body; underscores in `headers` become dashes."""
    content = json.dumps(body).encode()
    fields = {"host": "test", "content-type": "application/json", "content-length": str(len(content)), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + content
