"""Reads off a loaded pipeline what makes its pictures: the model down to the last bit, the device, the software."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from server import __version__
from server.diffusion.digests import file_digest
from server.diffusion.errors import ModelError
from server.diffusion.files import default_variant, list_files, needed_files, read_index
from server.diffusion.metadata import Provenance
from server.diffusion.quantization import Quantization
from server.diffusion.redaction import without_secrets

_log = logging.getLogger(__name__)

_SOFTWARE = ("diffusers", "torch", "transformers", "pillow")
"""What has a say in the pixels, beside Darkroom itself."""

_COMMIT = re.compile(r"[0-9a-f]{40}")

_AT_ONCE = 4


def provenance_of(
    pipeline: DiffusionPipeline, model: str, source: Path, quantization: Quantization = Quantization.NONE
) -> Future[Provenance]:
    """Find out what makes the pictures of a pipeline, in a thread of its own.

    To digest a local model takes about a second for each GB on one core, and the first picture may be made meanwhile;
    what is in the cache of the Hub is known by its commit.

    Args:
        pipeline: what was loaded.
        model: its id on the Hub, or its folder or file.
        source: the folder or file that it was read from.
        quantization: what was done to its weights.
    """
    found: Future[Provenance] = Future()

    def find() -> None:
        try:
            found.set_result(_provenance(pipeline, model, source, quantization))
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=find, name="provenance", daemon=True).start()
    return found


def model_digest(source: Path) -> str:
    """The SHA-256 of a model, in hexadecimal digits: of the file; or of the list of the files that a folder is loaded
    from, sorted by name, a line each, as `sha256sum` writes them.

    Raises:
        ModelError: the folder holds no pipeline.
        OSError: a file cannot be read.
    """
    if source.is_file():
        return file_digest(source)
    index, listing = read_index(source), list_files(source)
    names = sorted(needed_files(index, listing, default_variant(index, listing)))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        digests = pool.map(file_digest, [source / name for name in names])
        lines = "".join(f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def _provenance(pipeline: DiffusionPipeline, model: str, source: Path, quantization: Quantization) -> Provenance:
    commit = source.name if source.parent.name == "snapshots" and _COMMIT.fullmatch(source.name) else None
    digest = None
    if not commit:
        try:
            digest = model_digest(source)
        except (ModelError, OSError) as error:
            _log.warning("Warning: files will not tell the digest of the model in %s: %s", source, error)
    return Provenance(
        # Where a folder is on this machine is nobody else's business.
        model=Path(model).expanduser().resolve().name if Path(model).expanduser().exists() else without_secrets(model),
        revision=commit,
        digest=digest,
        pipeline=type(pipeline).__name__,
        device=_describe(pipeline.device),
        dtype=str(pipeline.dtype).removeprefix("torch."),
        quantization=None if quantization is Quantization.NONE else str(quantization),
        versions=_versions(*_SOFTWARE, *([] if quantization is Quantization.NONE else ["torchao"])),
    )


def _describe(device: Any) -> str:
    match device.type:
        case "cuda":
            return f"cuda: {torch.cuda.get_device_name(device)}"
        case "cpu":
            # Which instructions it has decides how sums are rounded.
            return f"cpu: {torch.backends.cpu.get_cpu_capability()}"
        case other:
            return str(other)


def _versions(*software: str) -> dict[str, str]:
    versions = {"darkroom": __version__}
    for name in software:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
