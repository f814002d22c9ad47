"""How the server is: `/health-check` for people, `/livez` and `/readyz` for orchestrators; and `/shutdown`, its end."""

from __future__ import annotations

import platform
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from fastapi import APIRouter, Response

from server import __version__
from server.api.responses import json_response
from server.schema.openapi import COG_VERSION
from server.service.slots import Slots
from server.worker.backend import WorkerState
from server.worker.setup import SetupReport
from server.worker.worker import Worker


class Health(StrEnum):
    """How the server is, in Cog's words. Computed when asked, never stored."""

    STARTING = "STARTING"
    """The model is being set up, for the first time or again."""
    READY = "READY"
    BUSY = "BUSY"
    """Every slot is taken."""
    SETUP_FAILED = "SETUP_FAILED"
    """The first setup failed; nothing will change without a restart."""
    UNHEALTHY = "UNHEALTHY"
    """The model's own `healthcheck()` says no; predictions are still taken."""
    DEFUNCT = "DEFUNCT"
    """The model's process died, and the last attempt to replace it failed; another follows."""


def health_routes(worker: Worker, slots: Slots, shutdown: Callable[[], None]) -> APIRouter:
    """The routes; `shutdown` is called to end the server and returns at once."""
    router = APIRouter()

    @router.api_route("/health-check", methods=["GET", "HEAD"])
    async def health_check() -> Response:
        health, error = await _health(worker, slots)
        body: dict[str, Any] = {"setup": _setup(worker.setup), "status": health, "version": _VERSION}
        if error is not None:
            body["user_healthcheck_error"] = error
        return json_response(body)

    @router.api_route("/livez", methods=["GET", "HEAD"])
    async def live() -> Response:
        return json_response({"status": "live"})

    @router.api_route("/readyz", methods=["GET", "HEAD"])
    async def ready() -> Response:
        health, _ = await _health(worker, slots)
        return json_response({"status": health}, 200 if health in (Health.READY, Health.BUSY) else 503)

    @router.post("/shutdown")
    async def shut_down() -> Response:
        shutdown()
        return json_response({})

    return router


async def _health(worker: Worker, slots: Slots) -> tuple[Health, str | None]:
    if worker.state is WorkerState.READY:
        result = await worker.healthcheck()
        if not result.ok:
            return Health.UNHEALTHY, result.error
        return (Health.BUSY if slots.busy else Health.READY), None
    if worker.setup.status == "failed":
        return (Health.DEFUNCT if worker.has_been_ready else Health.SETUP_FAILED), None
    return Health.STARTING, None


def _setup(report: SetupReport) -> dict[str, Any]:
    setup: dict[str, Any] = {"started_at": report.started_at.isoformat(), "status": report.status}
    if report.completed_at is not None:
        setup["completed_at"] = report.completed_at.isoformat()
        setup["logs"] = report.logs
    return setup


# Clients that look for Cog's own parts find the version whose behaviour this server has.
_VERSION = {
    "coglet": COG_VERSION,
    "darkroom": __version__,
    "python": platform.python_version(),
    "python_sdk": COG_VERSION,
}
