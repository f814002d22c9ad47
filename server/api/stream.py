"""A prediction as server-sent events, while it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager

import msgspec
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from server.api.accept import quality
from server.service.predictions import PredictionService
from server.service.updates import Reader, Update

MEDIA_TYPE = "text/event-stream"

_SILENCE = 15.0
"""Seconds after which a comment is sent, so that nobody on the way takes the connection for dead."""


def wants_stream(request: Request) -> bool:
    """Whether the client asks for server-sent events by name; to accept anything is not enough."""
    return quality(request.headers.get("accept", ""), MEDIA_TYPE, named=True) > 0


def event_stream(service: PredictionService, id: str, headers: Mapping[str, str]) -> Response:
    """Send what has happened to a prediction that has not ended, and what happens, up to its end.

    Args:
        service: who runs it.
        id: the prediction's.
        headers: to send besides.
    """
    return _EventStream(service.read(id), {**headers, "Content-Type": MEDIA_TYPE, "Cache-Control": "no-cache"})


class _EventStream(StreamingResponse):
    def __init__(self, reading: AbstractContextManager[Reader], headers: Mapping[str, str]) -> None:
        super().__init__((), headers=headers)
        self._reading = reading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not in the iterator, which is never begun where the client has left already.
        with self._reading as reader:
            self.body_iterator = _events(reader)
            await super().__call__(scope, receive, send)


async def _events(reader: Reader) -> AsyncIterator[bytes]:
    while (update := await _next(reader)) is not None:
        yield update


async def _next(reader: Reader) -> bytes | None:
    try:
        async with asyncio.timeout(_SILENCE):
            return _encode(await anext(reader))
    except StopAsyncIteration:
        return None
    except TimeoutError:
        return b": keep-alive\n\n"


def _encode(update: Update) -> bytes:
    data = msgspec.json.encode(dict(sorted(update.data().items())))
    return b"event: %s\ndata: %s\n\n" % (update.event.encode(), data)
