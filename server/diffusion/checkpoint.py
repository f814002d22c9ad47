"""A single file that holds the weights of a whole pipeline, as their authors and CivitAI publish them.

Such a file has no configuration. Diffusers tells by the names and shapes of the weights which model it is, and takes
the configuration from that model's repository on the Hub; what the file lacks, such as text encoders, as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.loaders.single_file import SINGLE_FILE_OPTIONAL_COMPONENTS
from diffusers.loaders.single_file_utils import (
    LDM_VAE_KEYS,
    fetch_diffusers_config,
    is_clip_model_in_single_file,
    is_t5_in_single_file,
)
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from safetensors import SafetensorError, safe_open

from server.diffusion.errors import ModelError
from server.diffusion.files import read_index
from server.diffusion.hub import locate_settings
from server.diffusion.hub_errors import download_command

Header = Mapping[str, torch.Tensor]
"""The tensors of a file by name, with their shapes and types and without their contents."""

_DENOISER = "model.diffusion_model."

_UNKNOWN = "v1"
"""What diffusers takes a file for that it knows nothing of."""


def read_header(file: Path) -> Header:
    """What tensors a `.safetensors` file has.

    Raises:
        ModelError: it is damaged, or no such file.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            shapes = {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} is no whole .safetensors file ({error}). Fetch it again.") from error
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def locate_configuration(file: Path, header: Header) -> Path:
    """The folder with the configuration of the pipeline in a file, and with the weights that the file lacks.

    What of it is not in the Hub's cache yet is fetched first.

    Raises:
        ModelError: the file holds no pipeline that diffusers knows, or the configuration cannot be had.
    """
    repo = configuration_of(file, header)
    command = download_command(str(file))
    folder = locate_settings(repo, (), command)
    lacking = _lacking(read_index(folder), header)
    return locate_settings(repo, lacking, command) if lacking else folder


def configuration_of(file: Path, header: Header) -> str:
    """The model on the Hub whose configuration the pipeline in a file has.

    Raises:
        ModelError: the file holds no pipeline that diffusers knows.
    """
    try:
        found = fetch_diffusers_config(dict(header))  # type: ignore[no-untyped-call]
    except (KeyError, IndexError, UnboundLocalError, ValueError, RuntimeError) as error:
        raise _unknown(file, header) from error
    repo = str(found["pretrained_model_name_or_path"])
    if repo == _default() and not any(name.startswith(_DENOISER) for name in header):
        raise _unknown(file, header)
    return repo


def load_checkpoint(file: Path, dtype: torch.dtype) -> DiffusionPipeline:
    """The pipeline in a file, on the CPU.

    Raises:
        ModelError: the file holds no pipeline that diffusers knows, or its configuration cannot be had.
    """
    header = read_header(file)
    folder = locate_configuration(file, header)
    index = read_index(folder)
    kind: Any = getattr(diffusers, str(index.get("_class_name")), None)
    if not hasattr(kind, "from_single_file"):
        raise ModelError(
            f"{file} holds the weights of a {index.get('_class_name')}, which diffusers loads from folders only. Set "
            "MODEL_ID to a folder, or to a model on the Hugging Face Hub."
        )
    present: dict[str, Any] = {
        name: _class(index[name]).from_pretrained(
            folder, subfolder=name, dtype=dtype, use_safetensors=True, local_files_only=True
        )
        for name in _lacking(index, header)
    }
    if "requires_safety_checker" in kind._get_signature_keys(kind)[1]:
        # Such a file has none; this keeps diffusers from warning of it.
        present["requires_safety_checker"] = False
    pipeline: DiffusionPipeline = kind.from_single_file(
        str(file), config=str(folder), dtype=dtype, local_files_only=True, **present
    )
    return pipeline


def _default() -> str:
    return str(fetch_diffusers_config({})["pretrained_model_name_or_path"])  # type: ignore[no-untyped-call]


def _lacking(index: Mapping[str, object], header: Header) -> list[str]:
    """The components with weights of which the file has none."""
    has_vae = any(name.startswith(tuple(LDM_VAE_KEYS)) for name in header)
    return [
        name
        for name, value in index.items()
        if name not in SINGLE_FILE_OPTIONAL_COMPONENTS
        and (kind := _class(value))
        and (
            (name == "vae" and not has_vae)
            or (
                issubclass(kind, transformers.PreTrainedModel)
                and not is_clip_model_in_single_file(kind, header)  # type: ignore[no-untyped-call]
                and not is_t5_in_single_file(header)  # type: ignore[no-untyped-call]
            )
        )
    ]


def _class(value: object) -> Any:
    """The class that an index names for a component; `None` where it is no component."""
    match value:
        case [str(library), str(name)]:
            return getattr({"diffusers": diffusers, "transformers": transformers}.get(library), name, None)
    return None


def _unknown(file: Path, header: Header) -> ModelError:
    some = ", ".join(sorted(header)[:2]) or "nothing"
    return ModelError(
        f"{file} holds no pipeline that diffusers knows. It has {len(header)} tensors ({some} ...): perhaps those of a "
        "LoRA, of a single component, or of another kind of model. Give a checkpoint of a whole model."
    )
