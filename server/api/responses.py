"""What goes back: compact JSON, and one table from each error to its status and body."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPMethod
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from server.errors import (
    AtCapacity,
    BodyTooLarge,
    DarkroomError,
    InvalidRequest,
    MalformedBody,
    NotReady,
    PredictionExists,
    QueueFull,
    ShuttingDown,
    StoreError,
    StreamingNotSupported,
    UnexpectedBody,
    UnsupportedContentType,
)


def json_response(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` as JSON without spaces, its keys in alphabetical order."""
    ordered = dict(sorted(content.items()))
    try:
        body = msgspec.json.encode(ordered)
    except UnicodeEncodeError:
        # JSON can name half a surrogate pair, UTF-8 cannot.
        body = json.dumps(ordered, separators=(",", ":")).encode()
    return Response(body, status, headers, media_type="application/json")


def refusal(error: InvalidRequest, headers: Mapping[str, str] | None = None) -> Response:
    """422, and each violation."""
    detail = [{"loc": v.loc, "msg": v.msg, "type": v.type} for v in error.violations]
    return json_response({"detail": detail}, 422, headers)


def install_error_responses(app: FastAPI) -> None:
    """Answer every exception that a route lets through; none ends the server."""
    for error, (status, body) in _ANSWERS.items():
        app.add_exception_handler(error, _handler(status, body))
    app.add_exception_handler(HTTPException, _empty)
    app.add_exception_handler(ClientDisconnect, _nobody)
    app.add_exception_handler(Exception, _unexpected)


def _text(message: str) -> Callable[[DarkroomError], Response]:
    return lambda error: Response(message.format(error), media_type="text/plain")


def _error(error: DarkroomError) -> Response:
    return json_response({"error": str(error), "status": "failed"})


def _plain_error(error: DarkroomError) -> Response:
    return json_response({"error": str(error)})


def _retry(error: DarkroomError) -> Response:
    assert isinstance(error, QueueFull)
    return json_response({"error": str(error), "status": "failed"}, headers={"Retry-After": str(error.retry_after)})


def _violations(error: DarkroomError) -> Response:
    assert isinstance(error, InvalidRequest)
    return refusal(error)


_ANSWERS: dict[type[DarkroomError], tuple[int, Callable[[DarkroomError], Response]]] = {
    MalformedBody: (400, _text("Failed to parse the request body as JSON: {}")),
    AtCapacity: (409, _error),
    PredictionExists: (409, _error),
    BodyTooLarge: (413, _text("Failed to buffer the request body: length limit exceeded")),
    UnsupportedContentType: (415, _text("Expected request with `Content-Type: application/json`")),
    InvalidRequest: (422, _violations),
    UnexpectedBody: (422, _text("Failed to deserialize the JSON body into the target type: {}")),
    QueueFull: (429, _retry),
    NotReady: (503, _error),
    ShuttingDown: (503, _error),
    StoreError: (503, _error),
    StreamingNotSupported: (406, _plain_error),
}


def _handler(
    status: int, body: Callable[[DarkroomError], Response]
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, error: Exception) -> Response:
        assert isinstance(error, DarkroomError)
        response = body(error)
        response.status_code = status
        return response

    return answer


async def _empty(request: Request, error: Exception) -> Response:
    # No such path, or not by this method: Cog says so by the status alone.
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(_allowed(request))
    return Response(status_code=error.status_code, headers=headers)


def _allowed(request: Request) -> Iterator[str]:
    # A route knows of itself alone, and one path may have several.
    for method in HTTPMethod:
        scope = {**request.scope, "method": method.value}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            yield method.value


async def _nobody(_: Request, __: Exception) -> Response:
    return Response(status_code=499)


async def _unexpected(_: Request, __: Exception) -> Response:
    # uvicorn logs the traceback.
    return json_response({"error": "Internal server error; the server's log says why.", "status": "failed"}, 500)
