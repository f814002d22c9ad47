"""The application: its parts put together, and their start and end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from server.api.discovery import discovery_routes
from server.api.docs import docs_routes
from server.api.health import PROBES, health_routes
from server.api.history import history_routes
from server.api.metrics import RequestMetrics, metrics_routes
from server.api.playground import Playground
from server.api.predictions import prediction_routes
from server.api.replicate import replicate_routes
from server.api.responses import install_error_responses
from server.launch import create_backend
from server.manifest import Manifest
from server.metrics import Metrics
from server.readiness import ready_file, ready_path
from server.schema.signature import Mode
from server.service.client import USER_AGENT, http_client
from server.service.outputs import DataUrls, Uploads
from server.service.predictions import PredictionService
from server.service.slots import Slots
from server.service.webhooks import Webhooks
from server.settings import Settings
from server.store.history import History
from server.store.opening import open_store
from server.telemetry import open_tracing
from server.tracing import Tracing


def create_app(settings: Settings, manifest: Manifest) -> FastAPI:
    """The application that serves the model in `manifest`.

    Two hooks are in its `state`. `shutdown()` is what `POST /shutdown` calls; unless whoever runs the application puts
    something better there, it sends this process SIGTERM. `await drain()` ends all predictions and the model within
    `settings.shutdown_grace` seconds; await it while connections are still open, so that clients get their answers.

    Raises:
        DeviceError: a device that the settings name cannot be had.
        StoreError: predictions cannot be kept where the settings say.
    """
    model = "@".join(filter(None, (settings.model_id, settings.model_revision))) or None
    tracing = open_tracing(with_prompts=settings.log_prompts, model=model)
    backend = create_backend(settings, manifest, tracing)
    slots = Slots(lambda: backend.concurrency, settings.queue_size)
    metrics = _metrics(slots)
    backend.watch(slots.admit)
    client = http_client(settings.user_agent or USER_AGENT)
    outputs = Uploads(settings.upload_url, client) if settings.upload_url else DataUrls()
    webhooks = Webhooks(client, settings.webhook_auth_token, settings.webhook_interval, metrics=metrics)
    history = _history(settings, manifest)
    service = PredictionService(
        backend,
        slots,
        outputs,
        client,
        history,
        metrics,
        max_file_bytes=settings.max_file_bytes,
        stream_history=settings.stream_history,
        tracing=tracing,
    )

    async def drain() -> None:
        # Most of the time is for predictions to end as usual, the rest for canceling and then for killing them.
        grace = settings.shutdown_grace
        try:
            await service.finish(0.7 * grace)
            await service.abort(0.1 * grace)
        except asyncio.CancelledError:
            grace = 0
            raise
        finally:
            await backend.stop(0.1 * grace)
            await service.abort(1)
            await webhooks.close(0.1 * grace)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client, history:
            await backend.start()
            try:
                async with ready_file(ready_path(settings.ready_file), backend):
                    yield
            finally:
                await drain()
                await tracing.close(0.1 * settings.shutdown_grace)

    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False, telemetry=_telemetry(tracing))
    app.state.drain = drain
    app.state.shutdown = lambda: signal.raise_signal(signal.SIGTERM)
    install_error_responses(app)
    app.add_middleware(RequestMetrics, metrics=metrics)
    playground = Playground(settings.upload_url)
    app.include_router(discovery_routes(playground, trains=manifest.trainer is not None))
    app.include_router(playground.routes())
    app.include_router(health_routes(backend, slots, lambda: app.state.shutdown()))
    app.include_router(metrics_routes(metrics, backend))
    app.include_router(docs_routes(backend))
    for mode in Mode:
        app.include_router(prediction_routes(service, webhooks, settings.max_request_bytes, settings.stream_any, mode))
        app.include_router(history_routes(history, service.ahead, mode))
    app.include_router(replicate_routes(service, webhooks, history, settings.max_request_bytes))
    return app


def _metrics(slots: Slots) -> Metrics:
    metrics = Metrics()
    metrics.running.set_function(lambda: slots.running)
    metrics.places.set_function(lambda: slots.capacity)
    metrics.queued.set_function(lambda: slots.waiting)
    metrics.queue_places.set_function(lambda: slots.queue_size)
    return metrics


def _telemetry(tracing: Tracing) -> TelemetryConfig:
    """A span for each request, but for those that orchestrators make every few seconds."""
    return {
        "tracing": tracing.provider is not None,
        "tracer_provider": tracing.provider,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope["path"] in PROBES,
    }


def _history(settings: Settings, manifest: Manifest) -> History:
    if settings.history_seconds == 0:
        return History(None, 0)
    chosen = Path(settings.data_dir) if settings.data_dir else None
    store = open_store(chosen, manifest.directory / ".darkroom", settings.port, settings.history_bytes)
    return History(store, settings.history_seconds)
