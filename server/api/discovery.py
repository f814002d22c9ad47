"""`GET /`: where everything is, for programs and for people."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from server.api.accept import quality
from server.api.responses import json_response
from server.schema.openapi import COG_VERSION

_WELCOME = (Path(__file__).parent / "welcome.html").read_text()


def discovery_routes(*, trains: bool) -> APIRouter:
    """`GET /`: Cog's discovery document, or a page for a client that would rather have HTML.

    Args:
        trains: whether the model has a trainer.
    """
    router = APIRouter()
    document = _DOCUMENT | _TRAININGS if trains else _DOCUMENT

    @router.api_route("/", methods=["GET", "HEAD"])
    async def discover(request: Request) -> Response:
        accept = request.headers.get("accept", "")
        if quality(accept, "text/html") > quality(accept, "application/json"):
            return HTMLResponse(_WELCOME, headers={"Vary": "Accept"})
        return json_response(document, headers={"Vary": "Accept"})

    return router


_DOCUMENT = {
    "cog_version": COG_VERSION,
    "docs_url": "/docs",
    "healthcheck_url": "/health-check",
    "openapi_url": "/openapi.json",
    "predictions_cancel_url": "/predictions/{prediction_id}/cancel",
    "predictions_idempotent_url": "/predictions/{prediction_id}",
    "predictions_url": "/predictions",
    "shutdown_url": "/shutdown",
}

_TRAININGS = {
    "trainings_cancel_url": "/trainings/{training_id}/cancel",
    "trainings_idempotent_url": "/trainings/{training_id}",
    "trainings_url": "/trainings",
}
