"""From settings and manifest to the worker that loads the model."""

from __future__ import annotations

import os

from server.manifest import Manifest
from server.settings import ModelSettings
from server.worker.worker import Worker


def create_worker(settings: ModelSettings, manifest: Manifest) -> Worker:
    """The worker that is to load the model in `manifest`; it has not been started."""
    given = {"MODEL_ID": settings.model_id, "MODEL_REVISION": settings.model_revision}
    inherited = {name: value for name, value in manifest.environment.items() if name not in os.environ}
    environment = inherited | {name: value for name, value in given.items() if value}
    return Worker(
        manifest.predictor,
        manifest.directory,
        environment=environment,
        concurrency=settings.max_concurrency or manifest.max_concurrency,
        setup_timeout=settings.setup_timeout,
        cancel_grace=settings.cancel_grace,
    )
