"""The routes under `/predictions`, and those under `/trainings`, which are the same."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request, Response

from server.api.body import beside_the_loop, decode_body, read_body
from server.api.models import PredictionRequest, check_id
from server.api.responses import json_response, refusal
from server.api.stream import event_stream, wants_stream
from server.api.warning import warning_header
from server.errors import InputRefused, InvalidRequest, StreamingNotSupported, Violation
from server.prediction import Prediction, new_id
from server.schema.signature import Mode
from server.schema.validation import ValidInput
from server.service.predictions import PredictionService
from server.service.webhooks import Webhooks

_PATIENCE = 0.5
"""Seconds within which the end of a connection must be noticed."""


def prediction_routes(
    service: PredictionService, webhooks: Webhooks, max_request_bytes: int, stream_any: bool, mode: Mode
) -> APIRouter:
    """The routes.

    Args:
        service: runs predictions.
        webhooks: tells others of them.
        max_request_bytes: a longer body is refused.
        stream_any: whether models stream that are not marked so.
        mode: whether they ask for predictions or for trainings. One that was created at either is known at both.
    """
    router = APIRouter(prefix=f"/{mode.noun}s")

    def check_stream(request: Request) -> None:
        if wants_stream(request) and mode is Mode.TRAIN:
            raise StreamingNotSupported("Training endpoints do not support streaming responses.")
        if wants_stream(request) and not (stream_any or service.streams):
            raise StreamingNotSupported(
                "This model does not support streaming responses. Add @cog.streaming to predict() to enable SSE."
            )

    @router.post("")
    async def create(request: Request) -> Response:
        body = await read_body(request, max_request_bytes)
        asked = await beside_the_loop(body, decode_body, body)
        check_stream(request)
        id_ = new_id() if asked.id is None else check_id(asked.id)
        valid = await beside_the_loop(body, service.validate, asked.input, mode)
        return await _predict(request, service, webhooks, id_, asked, valid, mode)

    @router.put("/{id}")
    async def create_once(request: Request, id: str) -> Response:
        body = await read_body(request, max_request_bytes)
        asked = await beside_the_loop(body, decode_body, body)
        check_stream(request)
        if asked.id not in (None, id):
            raise InvalidRequest([Violation(("body", "id"), f"{mode.noun} ID must match the ID supplied in the URL")])
        if running := service.get(id):
            return _attach(request, service, running)
        try:
            id_ = check_id(id)
        except InvalidRequest as error:
            # No more than a path that no route has is this one of a prediction.
            return json_response({"error": error.violations[0].msg}, 404)
        valid = await beside_the_loop(body, service.validate, asked.input, mode)
        # The validation of a large body may have let another request with this id in.
        if running := service.get(id_):
            return _attach(request, service, running)
        return await _predict(request, service, webhooks, id_, asked, valid, mode)

    @router.post("/{id}/cancel")
    async def cancel(id: str) -> Response:
        return json_response({}, 200 if service.cancel(id) else 404)

    return router


def _attach(request: Request, service: PredictionService, prediction: Prediction) -> Response:
    if wants_stream(request):
        return event_stream(service, prediction.id, {})
    return json_response({**prediction.to_dict(), "input": service.told_input(prediction.id)}, 202)


async def _predict(
    request: Request,
    service: PredictionService,
    webhooks: Webhooks,
    id_: str,
    asked: PredictionRequest,
    valid: ValidInput,
    mode: Mode,
) -> Response:
    streams = wants_stream(request)
    webhook = webhooks.open(asked.webhook, asked.webhook_events_filter, request.headers)
    # This alone, as in Cog: with anything beside it the prediction belongs to the connection.
    runs_on = request.headers.get("prefer", "").strip() == "respond-async"
    prediction = service.create(id_, valid, asked.context, webhook, for_readers=streams and not runs_on, asked=mode)
    headers = warning_header(id_, mode, asked, valid, service.interface)
    # Now, since it may have ended once it is kept.
    stream = event_stream(service, id_, headers) if streams else None
    if runs_on:
        await service.kept(id_)
    if stream:
        return stream
    if runs_on:
        return json_response({"id": id_, "status": "starting"}, 202, headers)
    if not await _ended_before_the_client_left(request, service, id_):
        return Response(status_code=499)
    if fault := prediction.fault:
        return refusal(InputRefused(fault.input, fault.message), headers)
    return json_response(prediction.to_response(), headers=headers)


async def _ended_before_the_client_left(request: Request, service: PredictionService, id_: str) -> bool:
    end = asyncio.create_task(service.wait(id_))
    leave = asyncio.create_task(_disconnect(request))
    try:
        await asyncio.wait((end, leave), return_when=asyncio.FIRST_COMPLETED)
        return end.done()
    finally:
        if not end.done():
            service.cancel(id_)
        end.cancel()
        leave.cancel()


async def _disconnect(request: Request) -> None:
    # uvicorn reads no further, and so notices no end, once the next request on the connection is there. Being asked
    # again makes it go on.
    message: Mapping[str, Any] = {}
    while message.get("type") != "http.disconnect":
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                message = await request.receive()
