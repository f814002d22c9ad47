"""The description of the model: `/openapi.json` for programs, `/docs` for people. Nothing comes from the internet."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

from server.api.responses import json_response
from server.schema.openapi import openapi_document
from server.worker.backend import Backend

# swagger-ui-dist 5.35.0 from npm, with its licences; nothing in it is changed.
SWAGGER_UI = Path(__file__).parent / "swagger_ui"

# Whatever the model's document says, the page reaches no other host.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)


def docs_routes(backend: Backend) -> APIRouter:
    """The routes; `/openapi.json` is 503 until the predictor of `backend` has been imported."""
    router = APIRouter()
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Darkroom",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"validatorUrl": None, "tryItOutEnabled": True},
    )
    page.headers["Content-Security-Policy"] = _POLICY

    @router.api_route("/openapi.json", methods=["GET", "HEAD"])
    async def openapi() -> Response:
        if (interface := backend.interface) is None:
            return json_response({"error": "OpenAPI schema not available"}, 503)
        return json_response(openapi_document(interface.signatures, served=interface.mode))

    @router.api_route("/docs", methods=["GET", "HEAD"])
    async def docs() -> Response:
        return page

    router.mount("/docs", StaticFiles(directory=SWAGGER_UI))
    return router
