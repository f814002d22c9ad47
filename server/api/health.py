"""How the server is: `/health-check` for people, `/livez` and `/readyz` for orchestrators; and `/shutdown`, its end."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fastapi import APIRouter, Request, Response

from server import __version__
from server.api.responses import json_response
from server.schema.openapi import COG_VERSION
from server.service.slots import Slots
from server.worker.backend import Backend, WorkerState
from server.worker.setup import SetupReport
from server.worker.worker import Worker

PROBES = ("/health-check", "/livez", "/metrics", "/readyz")
"""What is asked every few seconds, and is neither logged nor traced."""


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


_OF_SEVERAL = (Health.UNHEALTHY, Health.READY, Health.STARTING, Health.DEFUNCT, Health.SETUP_FAILED)
"""Of several devices, the first of these that one has: a prediction may come to one that is not well, too."""


def health_routes(backend: Backend, slots: Slots, shutdown: Callable[[], None]) -> APIRouter:
    """The routes; `shutdown` is called to end the server and returns at once."""
    router = APIRouter()

    @router.api_route("/health-check", methods=["GET", "HEAD"])
    async def health_check(request: Request) -> Response:
        devices = await _devices(backend)
        health = _overall(devices, slots)
        body: dict[str, Any] = {"setup": _setup(backend.setup), "status": health, "version": _VERSION}
        # Not unless asked for: Cog has none before the end of setup.
        if health is Health.STARTING and request.query_params.get("logs") == "true":
            body["setup"]["logs"] = backend.setup.logs
        if health is Health.UNHEALTHY:
            body["user_healthcheck_error"] = next(device.error for device in devices if device.error is not None)
        if len(devices) > 1:
            body["devices"] = [device.to_dict() for device in devices]
        return json_response(body)

    @router.api_route("/livez", methods=["GET", "HEAD"])
    async def live() -> Response:
        return json_response({"status": "live"})

    @router.api_route("/readyz", methods=["GET", "HEAD"])
    async def ready() -> Response:
        health = _overall(await _devices(backend), slots)
        return json_response({"status": health}, 200 if health in (Health.READY, Health.BUSY) else 503)

    @router.post("/shutdown")
    async def shut_down() -> Response:
        shutdown()
        return json_response({})

    return router


@dataclass(frozen=True)
class _Device:
    worker: Worker
    health: Health
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        worker = self.worker
        is_full = self.health is Health.READY and worker.running >= worker.concurrency
        body = {
            "device": worker.device,
            "status": Health.BUSY if is_full else self.health,
            "running": worker.running,
            "restarts": worker.restarts,
            "setup": _setup(worker.setup),
        }
        return body if self.error is None else {**body, "user_healthcheck_error": self.error}


async def _devices(backend: Backend) -> list[_Device]:
    return await asyncio.gather(*(_device(worker) for worker in backend.workers))


async def _device(worker: Worker) -> _Device:
    result = await worker.healthcheck() if worker.state is WorkerState.READY else None
    # A child that died over it is not unwell, but gone.
    if result is not None and worker.state is WorkerState.READY:
        return _Device(worker, Health.READY) if result.ok else _Device(worker, Health.UNHEALTHY, result.error)
    if worker.setup.status == "failed":
        return _Device(worker, Health.DEFUNCT if worker.has_been_ready else Health.SETUP_FAILED)
    return _Device(worker, Health.STARTING)


def _overall(devices: Sequence[_Device], slots: Slots) -> Health:
    found = {device.health for device in devices}
    health = next(health for health in _OF_SEVERAL if health in found)
    return Health.BUSY if health is Health.READY and slots.busy else health


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
