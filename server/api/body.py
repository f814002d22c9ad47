"""From the body of a request to a `PredictionRequest`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import msgspec
from fastapi import Request

from server.api.models import Body, PredictionRequest
from server.errors import BodyTooLarge, MalformedBody, UnexpectedBody, UnsupportedContentType

P = ParamSpec("P")
R = TypeVar("R")

_MAX_DEPTH = 127
"""How deep objects and arrays may nest, as in Cog: it keeps every later step off the end of the stack."""

_LARGE = 1 << 18
"""Bytes from which on a body keeps the event loop for longer than other requests should wait."""

_HALF_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")

_decoder = msgspec.json.Decoder(Body)
_key_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


async def read_body(request: Request, max_bytes: int) -> bytearray | None:
    """The body of a request that claims to be JSON; `None` if there is neither body nor content type.

    Raises:
        UnsupportedContentType: it does not claim to be JSON.
        BodyTooLarge: it is longer than `max_bytes`; what comes after is not kept.
        ClientDisconnect: the client left before its end.
    """
    content_type = request.headers.get("content-type")
    if content_type is not None and not _is_json(content_type):
        raise UnsupportedContentType(f"The content type is {content_type!r}; it must be application/json.")
    body = await _read(request, max_bytes)
    if content_type is None:
        if body:
            raise UnsupportedContentType("The body has no content type; it must be application/json.")
        return None
    return body


def decode_body(body: bytearray | None) -> PredictionRequest:
    """What a body asks for; no body asks for a prediction with no inputs, as in Cog.

    Raises:
        MalformedBody: it is not JSON.
        UnexpectedBody: it is JSON of another shape.
    """
    if body is None:
        return PredictionRequest()
    try:
        decoded = _decoder.decode(body)
        unknown = tuple(key for key in _key_decoder.decode(body) if key not in Body.__struct_fields__)
        return PredictionRequest(
            **msgspec.structs.asdict(decoded) | {"input": _settle(decoded.input), "unknown": unknown}
        )
    except msgspec.ValidationError as error:
        # A number beyond every type is broken JSON to Cog, and of the wrong type to this decoder.
        raise (MalformedBody if "out of range" in str(error) else UnexpectedBody)(_shorten(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        # Of a text that ends in half a surrogate pair, as of one without an end, the decoder says that it is cut short.
        half = _HALF_PAIR.search(body) if "truncated" in str(error) else None
        reason = f"{half.group().decode()} is half of a surrogate pair, and no text" if half else str(error)
        raise MalformedBody(_shorten(reason)) from None


async def beside_the_loop(body: bytearray | None, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that works through what was in `body`: in a thread if that is so much that others would wait."""
    if body is not None and len(body) >= _LARGE:
        return await asyncio.to_thread(function, *args, **kwargs)
    return function(*args, **kwargs)


def _is_json(content_type: str) -> bool:
    kind, _, subkind = content_type.partition(";")[0].strip().lower().partition("/")
    return kind == "application" and (subkind == "json" or subkind.endswith("+json"))


async def _read(request: Request, max_bytes: int) -> bytearray:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise BodyTooLarge(f"The body is longer than {max_bytes} bytes.")
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > max_bytes:
            raise BodyTooLarge(f"The body is longer than {max_bytes} bytes.")
        body += chunk
    return body


def _settle(value: Any) -> Any:
    """Refuse what nests too deep, and turn integers beyond 64 bits into floats, in place; both as Cog does.

    A loop, because what nests deep would end a recursion.
    """
    root = [value]
    level: list[Any] = [root]
    for _ in range(_MAX_DEPTH):
        below: list[Any] = []
        for container in level:
            for key, item in container.items() if isinstance(container, dict) else enumerate(container):
                if isinstance(item, dict | list):
                    below.append(item)
                elif type(item) is int and not -(1 << 63) <= item < 1 << 64:
                    container[key] = float(item)
        if not below:
            return root[0]
        level = below
    raise MalformedBody(f"it nests deeper than {_MAX_DEPTH} levels")


def _shorten(message: str) -> str:
    # The decoder quotes what the client sent, whole.
    return message if len(message) <= 500 else f"{message[:250]} ... {message[-250:]}"
