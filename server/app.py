"""The application: its parts put together, and their start and end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from server.api.discovery import discovery_routes
from server.api.docs import docs_routes
from server.api.health import health_routes
from server.api.predictions import prediction_routes
from server.api.responses import install_error_responses
from server.launch import create_worker
from server.manifest import Manifest
from server.service.client import http_client
from server.service.outputs import DataUrls
from server.service.predictions import PredictionService
from server.service.slots import Slots
from server.service.webhooks import Webhooks
from server.settings import Settings


def create_app(settings: Settings, manifest: Manifest) -> FastAPI:
    """The application that serves the model in `manifest`.

    Two hooks are in its `state`. `shutdown()` is what `POST /shutdown` calls; unless whoever runs the application puts
    something better there, it sends this process SIGTERM. `await drain()` ends all predictions and the model within
    `settings.shutdown_grace` seconds; await it while connections are still open, so that clients get their answers.
    """
    worker = create_worker(settings, manifest)
    slots = Slots(lambda: worker.concurrency, settings.queue_size)
    client = http_client()
    webhooks = Webhooks(client)
    service = PredictionService(worker, slots, DataUrls(), client, settings.max_file_bytes)

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
            await worker.stop(0.1 * grace)
            await service.abort(1)
            await webhooks.close(0.1 * grace)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            await worker.start()
            try:
                yield
            finally:
                await drain()

    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.state.drain = drain
    app.state.shutdown = lambda: signal.raise_signal(signal.SIGTERM)
    install_error_responses(app)
    app.include_router(discovery_routes())
    app.include_router(health_routes(worker, slots, lambda: app.state.shutdown()))
    app.include_router(docs_routes(worker))
    app.include_router(prediction_routes(service, webhooks, settings.max_request_bytes))
    return app
