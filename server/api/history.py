"""`GET /predictions` and `GET /predictions/{id}`: predictions that run and that have ended. The same for trainings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from server.api.responses import json_response
from server.errors import InvalidRequest, Violation
from server.schema.signature import Mode
from server.store.history import History
from server.store.store import Cursor, Record

_MOST_AT_ONCE = 100


def history_routes(history: History, ahead: Callable[[str], int | None], mode: Mode) -> APIRouter:
    """The routes.

    Args:
        history: knows what runs and what has ended.
        ahead: tells how many come before a prediction that waits.
        mode: whether those are told that were asked for as predictions, or as trainings.
    """
    path = f"{mode.noun}s"
    router = APIRouter(prefix=f"/{path}")

    @router.api_route("", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        asked = request.query_params
        cursor = Cursor.parse(asked["cursor"]) if "cursor" in asked else None
        page = await history.page(cursor, _limit(asked.get("limit")), mode)
        body = {
            "next": _link(request, page.next),
            "previous": _link(request, page.previous),
            "results": [_state(request, path, record) for record in page.records],
        }
        return json_response(body)

    @router.api_route("/{id}", methods=["GET", "HEAD"])
    async def get(request: Request, id: str) -> Response:
        record = await history.get(id)
        if record is None:
            return json_response({"error": f"There is no {mode.noun} with the id {id!r}."}, 404)
        if record.asked is not mode:
            # What it takes and gives is not what the schema says of this path.
            other = record.asked.noun
            return json_response({"error": f"{id!r} is no {mode.noun} but a {other}: GET /{other}s/{id}"}, 404)
        state = _state(request, path, record)
        if (before := ahead(id)) is not None:
            state["queue_position"] = before + 1
        return json_response(state)

    return router


def _limit(text: str | None) -> int:
    if text is None:
        return _MOST_AT_ONCE
    if text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= _MOST_AT_ONCE:
        return int(text)
    raise InvalidRequest([Violation(("query", "limit"), f"must be a whole number from 1 to {_MOST_AT_ONCE}")])


def _link(request: Request, cursor: Cursor | None) -> str | None:
    return str(request.url.include_query_params(cursor=str(cursor))) if cursor else None


def _state(request: Request, path: str, record: Record) -> dict[str, Any]:
    url = f"{request.base_url}{path}/{record.id}"
    return {**dict(sorted(record.to_dict().items())), "urls": {"cancel": f"{url}/cancel", "get": url}}
