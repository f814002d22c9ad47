"""From settings and manifest to what loads the model."""

from __future__ import annotations

import os

from server.manifest import Manifest
from server.schema.signature import Mode
from server.settings import ModelSettings
from server.tracing import Tracing
from server.worker.backend import Backend
from server.worker.devices import choose_devices, variables_for
from server.worker.dispatch import Dispatcher
from server.worker.fleet import Fleet
from server.worker.worker import Worker


def create_backend(settings: ModelSettings, manifest: Manifest, tracing: Tracing) -> Backend:
    """What is to run the model in `manifest` for a server; it has not been started.

    Args:
        settings: how to load it.
        manifest: the folder to load it from.
        tracing: where spans go.

    Raises:
        DeviceError: a device that the settings name cannot be had.
    """
    devices = choose_devices(settings.devices, os.environ)
    if len(devices) > 1:
        return Fleet(devices, lambda device, dispatcher: create_worker(settings, manifest, device, dispatcher, tracing))
    return create_worker(settings, manifest, next(iter(devices), None), tracing=tracing)


def create_worker(
    settings: ModelSettings,
    manifest: Manifest,
    device: str | None = None,
    dispatcher: Dispatcher | None = None,
    tracing: Tracing | None = None,
) -> Worker:
    """The worker that is to load the model in `manifest`; it has not been started.

    Args:
        settings: how to load it; its choice of devices is not looked at.
        manifest: the folder to load it from.
        device: the only one that the model sees; `None` leaves it to the environment.
        dispatcher: where its predictions wait, if it shares the work with others.
        tracing: where spans go; `None` makes none.
    """
    given = {
        "MODEL_ID": settings.model_id,
        "MODEL_REVISION": settings.model_revision,
        "COMPILE": settings.compile,
        "QUANTIZE": settings.quantize,
        "COMPILE_CACHE": settings.compile_cache,
        "CONTROLNET_ID": settings.controlnet_id,
        "LORA_CACHE": settings.lora_cache,
        "STRICT": str(settings.strict).lower(),
        "REQUIRE_SAFETY_CHECKER": str(settings.require_safety_checker).lower(),
    }
    seen = {} if device is None else variables_for(device, os.environ)
    return Worker(
        manifest.predictor,
        manifest.directory,
        trainer=manifest.trainer,
        mode=Mode(settings.x_mode),
        # With that of this process, in which `server.options` has put what the manifest sets.
        environment={**{name: value for name, value in given.items() if value}, **seen},
        concurrency=settings.max_concurrency or manifest.max_concurrency,
        setup_timeout=settings.setup_timeout,
        cancel_grace=settings.cancel_grace,
        device=device,
        dispatcher=dispatcher,
        tracing=tracing,
    )
