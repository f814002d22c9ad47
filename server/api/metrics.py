"""`/metrics`, what Prometheus scrapes, and the middleware that counts and times requests."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http import HTTPMethod

from fastapi import APIRouter, Request, Response
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.metrics import Metrics
from server.worker.backend import Backend
from server.worker.exposition import families_in, families_of

logger = logging.getLogger(__name__)

_METHODS = frozenset(HTTPMethod)

_FORMAT = re.compile(
    r"(application/openmetrics-text; version=1\.0\.0|text/plain; version=(0\.0\.4|1\.0\.0)); charset=utf-8"
    r"(; escaping=(allow-utf-8|dots|underscores|values))?"
)


def metrics_routes(metrics: Metrics, backend: Backend) -> APIRouter:
    """The route. It waits for no prediction and no setup; for a model's process that does not answer, a second.

    Args:
        metrics: what the server counts.
        backend: whose workers are asked.
    """
    router = APIRouter()
    told: set[str] = set()

    def complain(name: str) -> None:
        if name not in told:
            told.add(name)
            logger.warning("A metric of the model's has a name that is taken, and is left out", extra={"metric": name})

    @router.api_route("/metrics", methods=["GET", "HEAD"])
    async def expose(request: Request) -> Response:
        await asyncio.gather(*(worker.measure() for worker in backend.workers))
        ours = [*metrics.registry.collect(), *families_of(backend.workers)]
        families = [*ours, *_without_doubles(families_in(backend.workers), ours, complain)]
        encode, content_type = _encoder(request.headers.get("accept", ""))
        return Response(encode(_Families(families)), headers={"Content-Type": content_type, "Vary": "Accept"})

    return router


class RequestMetrics:
    """Counts and times each request by the route that answers it.

    Args:
        app: what answers.
        metrics: where it is counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as `app` does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # What is raised is answered further out.
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        self._metrics.http_running.inc()
        try:
            await self._app(scope, receive, watch)
        finally:
            self._metrics.http_running.dec()
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = _route(scope)
            self._metrics.http_requests.labels(method, route, str(status)).inc()
            self._metrics.http_seconds.labels(method, route).observe(time.perf_counter() - started)


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _route(scope: Scope) -> str:
    """The template of the path, for paths have no end."""
    if "route" in scope:
        return str(scope["route"].path)
    if "endpoint" in scope:
        # Files below a path are not told apart.
        return f"{scope['root_path'].removeprefix(scope.get('app_root_path', ''))}/{{file}}"
    return "unmatched"


def _without_doubles(
    theirs: Iterable[Metric], ours: Iterable[Metric], complain: Callable[[str], None]
) -> Iterator[Metric]:
    taken = {name for family in ours for name in _names(family)}
    for family in theirs:
        if taken & (names := _names(family)):
            complain(family.name)
        else:
            taken |= names
            yield family


def _names(family: Metric) -> set[str]:
    total = {f"{family.name}_total"} if family.type == "counter" else set()
    return {family.name, *total, *(sample.name for sample in family.samples)}


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    # What the library finds in the header it puts into the answer's, whatever that is, or trips over it.
    with suppress(TypeError, ValueError):
        encode, content_type = choose_encoder(accept)
        if _FORMAT.fullmatch(content_type):
            return encode, content_type
    return choose_encoder("")
