"""Load any diffusers pipeline onto the best device, and make copies of it that a request may change."""

import copy
import math
import os
from pathlib import Path

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from transformers import PreTrainedModel

from server.diffusion import notices
from server.diffusion.checkpoint import load_checkpoint
from server.diffusion.errors import ModelError, first_line
from server.diffusion.files import check_folder
from server.diffusion.schedulers import Scheduler
from server.diffusion.torchvision import lacks_torchvision, torchvision_remedy


def read(model: Path) -> DiffusionPipeline:
    """Read a pipeline into the memory of the CPU, in the type that suits the best device.

    Code that comes with a model is never run, and weights are only read as safetensors.

    Args:
        model: the folder of a diffusers pipeline, or a `.safetensors` file that holds a whole one.

    Raises:
        ModelError: there is no pipeline that can be loaded so.
    """
    variant = None if model.is_file() else check_folder(model)
    notices.install()
    device = best_device()
    if device.type == "cpu":
        _limit_threads()
    try:
        pipeline: DiffusionPipeline = (
            load_checkpoint(model, best_dtype(device))
            if model.is_file()
            else DiffusionPipeline.from_pretrained(
                model,
                dtype=best_dtype(device),
                variant=variant,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
            )
        )
    except ModelError:
        raise
    except Exception as error:
        if lacks_torchvision(error):
            raise ModelError(
                f"The model in {model} reads pictures with torchvision, and {torchvision_remedy()}"
            ) from error
        reason = first_line(error)
        raise ModelError(
            f"The model in {model} cannot be loaded: {type(error).__name__}: {reason}. If a file is damaged or "
            "missing, fetch the model again; if it needs code of its own, it cannot be served."
        ) from error
    _keep_no_keys_and_values(pipeline)
    return pipeline


def _keep_no_keys_and_values(pipeline: DiffusionPipeline) -> None:
    """Have language models that encode prompts keep nothing for a next token, which nobody asks them for.

    What they would return for it is large, and no batch: prompts of several requests could not share a pass.
    """
    for encoder in pipeline.components.values():
        for part in encoder.modules() if isinstance(encoder, PreTrainedModel) else ():
            if isinstance(part, PreTrainedModel) and getattr(part.config, "use_cache", False):
                part.config.use_cache = False


def best_device() -> torch.device:
    """CUDA where there is a GPU, else Apple's, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU that computes in it, else float16; float32 on the CPU, where the others are slow or missing."""
    match device.type:
        case "cpu":
            return torch.float32
        case "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        case _:
            native = torch.backends.mps.is_macos_or_newer(14, 0)
    return torch.bfloat16 if native else torch.float16


def private_copy(pipeline: DiffusionPipeline, scheduler: Scheduler | None) -> DiffusionPipeline:
    """A pipeline for one picture: its own attributes and schedulers, the weights shared.

    Args:
        pipeline: what was loaded; it is not changed.
        scheduler: what takes the place of its scheduler; `None` where it has none.
    """
    return _copy(pipeline, {id(getattr(pipeline, "scheduler", None)): scheduler})


def _copy(pipeline: DiffusionPipeline, replaced: dict[int, Scheduler | None]) -> DiffusionPipeline:
    twin = copy.copy(pipeline)
    for name, value in vars(pipeline).items():
        match value:
            case SchedulerMixin():
                setattr(twin, name, replaced.setdefault(id(value), copy.deepcopy(value)))
            case DiffusionPipeline():
                # Combined pipelines hold the stages that they call, and share their schedulers with them.
                setattr(twin, name, _copy(value, replaced))
    return twin


def _limit_threads(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> None:
    """Compute with no more threads than the container has processors; torch counts those of the whole machine."""
    if "OMP_NUM_THREADS" in os.environ or not quota.is_file():
        return
    share, period = quota.read_text().split()
    if share != "max":
        processors = math.ceil(int(share) / int(period))
        torch.set_num_threads(min(torch.get_num_threads(), processors))
