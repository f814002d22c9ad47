"""From settings and manifest to the worker that loads the model."""

from __future__ import annotations

from server.manifest import Manifest
from server.schema.signature import Mode
from server.settings import ModelSettings
from server.worker.worker import Worker


def create_worker(settings: ModelSettings, manifest: Manifest) -> Worker:
    """The worker that is to load the model in `manifest`; it has not been started."""
    given = {
        "MODEL_ID": settings.model_id,
        "MODEL_REVISION": settings.model_revision,
        "COMPILE": settings.compile,
        "COMPILE_CACHE": settings.compile_cache,
    }
    return Worker(
        manifest.predictor,
        manifest.directory,
        trainer=manifest.trainer,
        mode=Mode(settings.x_mode),
        # With that of this process, in which `server.options` has put what the manifest sets.
        environment={name: value for name, value in given.items() if value},
        concurrency=settings.max_concurrency or manifest.max_concurrency,
        setup_timeout=settings.setup_timeout,
        cancel_grace=settings.cancel_grace,
    )
