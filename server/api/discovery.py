"""`GET /`: where everything is, for programs and for people."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from server.api.accept import quality
from server.api.playground import Playground
from server.api.responses import json_response
from server.schema.openapi import COG_VERSION


def discovery_routes(playground: Playground, *, trains: bool) -> APIRouter:
    """`GET /`: Cog's discovery document, or the playground for a client that would rather have HTML.

    Args:
        playground: the page.
        trains: whether the model has a trainer.
    """
    router = APIRouter()
    document = _DOCUMENT | _TRAININGS if trains else _DOCUMENT

    @router.api_route("/", methods=["GET", "HEAD"])
    async def discover(request: Request) -> Response:
        accept = request.headers.get("accept", "")
        if quality(accept, "text/html") > quality(accept, "application/json"):
            page = await playground.page(request)
            page.headers["Vary"] = "Accept"
            return page
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
