"""The playground: a page to run the model on, at `/playground`, and at `/` for browsers. It needs no other host."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

PLAYGROUND = Path(__file__).parent.parent / "playground"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:{hosts}; media-src data: blob:{hosts}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Playground:
    """The page and the modules, styles and licences that belong to it.

    Browsers ask for each file every time, and get 304 and no body unless it has changed.

    Args:
        upload_url: where outputs are uploaded to, if they are: the page shows pictures that lie on that host, too.
    """

    def __init__(self, upload_url: str | None = None) -> None:
        self._files = _Files(_origin(upload_url))

    async def page(self, request: Request) -> Response:
        """The page itself, also where it is asked for by another path."""
        return await self._files.get_response("index.html", request.scope)

    def routes(self) -> APIRouter:
        """`GET /playground`, and its files below that."""
        router = APIRouter()
        router.add_api_route("/playground", self.page, methods=["GET", "HEAD"])
        router.mount("/playground", self._files)
        return router


class _Files(StaticFiles):
    def __init__(self, host: str) -> None:
        super().__init__(directory=PLAYGROUND)
        self._headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": _POLICY.format(hosts=f" {host}" if host else ""),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(self._headers)
        return response


def _origin(url: str | None) -> str:
    parts = urlsplit(url or "")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""
