"""Loading, and copies."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from server.diffusion import Engine, ModelError, PictureRequest
from server.diffusion.pipeline import _limit_threads, best_device, best_dtype, private_copy, read
from server.diffusion.placement import place
from tests.diffusion.drawing import draw
from tests.diffusion.tiny_pipelines import diffusers

Tiny = Callable[[str], Path]


@pytest.fixture
def folder(tiny: Tiny, tmp_path: Path) -> Path:
    """A pipeline that a test may damage."""
    return Path(shutil.copytree(tiny("stable-diffusion"), tmp_path / "model"))


def test_a_pipeline_is_loaded_for_the_device(tiny: Tiny) -> None:
    pipeline: Any = read(tiny("stable-diffusion"))
    place(pipeline, best_device())
    assert type(pipeline) is diffusers.StableDiffusionPipeline
    assert (pipeline.device, pipeline.dtype) == (best_device(), best_dtype(best_device()))
    assert not pipeline.unet.training


def test_the_cpu_computes_in_full_precision() -> None:
    assert best_dtype(torch.device("cpu")) is torch.float32


@pytest.mark.parametrize(
    ("quota", "threads"), [("50000 100000", 1), ("150000 100000", 2), ("900000 100000", 4), ("max 100000", 4)]
)
def test_a_container_gets_no_more_threads_than_processors(
    quota: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        _limit_threads(tmp_path / "cpu.max")
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_half_precision_weights_are_found_by_their_name(folder: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    diffusers.StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float16).save_pretrained(half, variant="fp16")
    assert (half / "unet" / "diffusion_pytorch_model.fp16.safetensors").is_file()
    request = PictureRequest(prompt="a red apple", seed=0, width=64, height=64, num_inference_steps=1)
    assert draw(Engine(str(half)), request)


def _remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def _replace(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_remove("model_index.json"), "is no diffusers pipeline: it has no model_index.json"),
        (_remove("unet/diffusion_pytorch_model.safetensors"), "cannot be loaded: OSError"),
        (_remove("unet/config.json"), "cannot be loaded: OSError"),
        (lambda folder: shutil.rmtree(folder / "tokenizer"), "no files of its 'tokenizer'"),
        # What a clone without Git LFS has in place of the weights.
        (_replace("vae/diffusion_pytorch_model.safetensors", "version https://git-lfs"), "cannot be loaded"),
    ],
    ids=["index", "weights", "config", "tokenizer", "lfs"],
)
def test_what_cannot_be_loaded_is_told(damage: Callable[[Path], object], message: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        read(folder)
    assert "\n" not in str(caught.value)


def test_weights_that_may_run_code_are_not_loaded(folder: Path) -> None:
    weights = folder / "text_encoder" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(ModelError, match=r"'text_encoder' are not there as safetensors, only as pytorch_model\.bin"):
        read(folder)


def test_code_that_comes_with_a_model_is_never_run(folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code = f"open({str(trace)!r}, 'w')\nfrom diffusers import StableDiffusionPipeline as Mine\n"
    for name in ("pipeline.py", "mine.py", "unet/mine.py"):
        (folder / name).write_text(code)
    path = folder / "model_index.json"
    index = json.loads(path.read_text())
    for change in ({"_class_name": ["mine", "Mine"]}, {"unet": ["mine", "Mine"]}, {"_class_name": "Mine"}):
        path.write_text(json.dumps({**index, **change}))
        with pytest.raises(ModelError, match="if it needs code of its own, it cannot be served"):
            read(folder)
    assert not trace.exists()


def test_a_copy_shares_weights_and_nothing_that_changes(tiny: Tiny) -> None:
    pipeline: Any = read(tiny("stable-diffusion"))
    place(pipeline, best_device())
    scheduler = diffusers.DDIMScheduler()
    config = dict(pipeline.config)
    twin: Any = private_copy(pipeline, scheduler)
    twin._guidance_scale = 3
    assert twin.unet is pipeline.unet
    assert twin.scheduler is scheduler
    assert pipeline.scheduler is not scheduler
    assert not hasattr(pipeline, "_guidance_scale")
    assert dict(pipeline.config) == config


def test_the_stages_of_a_combined_pipeline_are_copied_too(tiny: Tiny) -> None:
    stage: Any = read(tiny("stable-diffusion"))
    combined: Any = read(tiny("stable-diffusion"))
    combined.scheduler = stage.scheduler
    combined.prior_scheduler = diffusers.DDIMScheduler()
    combined.decoder_pipe = stage
    own = diffusers.DDIMScheduler()
    twin: Any = private_copy(combined, own)
    assert twin.decoder_pipe is not stage
    assert twin.decoder_pipe.unet is stage.unet
    assert twin.scheduler is twin.decoder_pipe.scheduler is own
    assert twin.prior_scheduler is not combined.prior_scheduler
