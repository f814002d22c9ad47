"""The part of Replicate's HTTP API, under `/v1`, that its clients need to run a model and to wait for the end.

Source: the code of the client `replicate` 1.0.7 and the API's reference, https://replicate.com/docs/reference/http.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from server.api.body import beside_the_loop, decode_body, read_body
from server.api.responses import json_response
from server.api.warning import warning_header
from server.errors import InvalidRequest
from server.prediction import new_id
from server.schema.signature import Mode
from server.service.predictions import PredictionService
from server.service.webhooks import Webhooks
from server.store.history import History
from server.store.store import Record

_MODEL = "darkroom/model"
_VERSION = "hidden"
"""What Replicate calls the version of a model that has none to choose from."""

_OWN_KEYS = {"model", "version", "stream"}
"""What only Replicate's API has in a body, to choose what there is no choice of here."""

_FILES = (
    "This server keeps no files of clients. Send them within the input: a file that was opened, with "
    'file_encoding_strategy="base64", or a data URL, or an http(s) URL.'
)
_MODELS = (
    "This server has one model, without versions, and answers whatever name it is asked by. Leave the version out, as "
    'in client.run("darkroom/model", input={...}); GET /openapi.json tells what it takes.'
)
_ABSENT = {
    "/files": _FILES,
    "/files/{id}": _FILES,
    "/models": _MODELS,
    "/models/{owner}/{name}": _MODELS,
    "/models/{owner}/{name}/versions": _MODELS,
    "/models/{owner}/{name}/versions/{version}": _MODELS,
}
"""What Replicate's clients ask for by themselves and is not here, with what to do instead."""

_LONGEST_WAIT = 60.0


def replicate_routes(
    service: PredictionService, webhooks: Webhooks, history: History, max_request_bytes: int
) -> APIRouter:
    """The routes. Whatever model or version a client names, it gets the one that is served.

    Args:
        service: runs predictions.
        webhooks: tells others of them.
        history: knows what runs and what has ended.
        max_request_bytes: a longer body is refused.
    """
    router = APIRouter(prefix="/v1")

    @router.post("/predictions")
    @router.post("/models/{owner}/{name}/predictions")
    async def create(request: Request) -> Response:
        body = await read_body(request, max_request_bytes)
        asked = await beside_the_loop(body, decode_body, body)
        asked = msgspec.structs.replace(asked, unknown=tuple(key for key in asked.unknown if key not in _OWN_KEYS))
        try:
            valid = await beside_the_loop(body, service.validate, asked.input, Mode.PREDICT)
        except InvalidRequest as error:
            return _problem(422, "Input validation failed", str(error))
        webhook = webhooks.open(asked.webhook, asked.webhook_events_filter, request.headers)
        prediction = service.create(new_id(), valid, asked.context, webhook)
        input = service.told_input(prediction.id)
        headers = warning_header(prediction.id, Mode.PREDICT, asked, valid, service.interface)
        await service.kept(prediction.id)
        try:
            async with asyncio.timeout(_wait(request.headers.get("prefer", ""))):
                await service.wait(prediction.id)
        except TimeoutError:
            pass
        state = _state(request, Record.of(0, prediction, input))
        if not prediction.status.terminal:
            # Clients take every other status for the end.
            state |= {"status": "starting", "output": None}
        return json_response(state, 201, headers)

    @router.api_route("/predictions/{id}", methods=["GET", "HEAD"])
    async def get(request: Request, id: str) -> Response:
        record = await history.get(id)
        return _unknown(id) if record is None else json_response(_state(request, record))

    @router.post("/predictions/{id}/cancel")
    async def cancel(request: Request, id: str) -> Response:
        service.cancel(id)
        record = await history.get(id)
        return _unknown(id) if record is None else json_response(_state(request, record))

    for path, reason in _ABSENT.items():
        router.add_api_route(path, partial(_absent, reason), methods=["GET", "HEAD", "POST", "DELETE"])
    return router


def _wait(prefer: str) -> float:
    match = re.search(r"\bwait(?:=(\d{1,3}))?\b", prefer)
    return min(float(match[1] or _LONGEST_WAIT), _LONGEST_WAIT) if match else 0.0


def _state(request: Request, record: Record) -> dict[str, Any]:
    url = f"{request.base_url}v1/predictions/{record.id}"
    absent = {"output": None, "error": None, "started_at": None, "completed_at": None}
    named = {"model": _MODEL, "version": _VERSION, "urls": {"get": url, "cancel": f"{url}/cancel"}}
    return {**absent, **record.to_dict(), **named}


def _absent(reason: str) -> Response:
    return _problem(404, "Not found", reason)


def _unknown(id: str) -> Response:
    return _problem(404, "Not found", f"There is no prediction with the id {id!r}.")


def _problem(status: int, title: str, detail: str) -> Response:
    return json_response({"detail": detail, "status": status, "title": title}, status)
