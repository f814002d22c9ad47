from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from tests.training.conftest import SIZES
from training.export import assemble, write_pipeline
from training.networks import make_few_step_scheduler, make_scheduler, make_vae
from training.unet import make_denoiser


@pytest.mark.parametrize("fast", [False, True])
def test_stock_diffusers_loads_and_draws_it(
    tokenizer: CLIPTokenizer, tokenizer_folder: Path, tmp_path: Path, fast: bool
) -> None:
    torch.manual_seed(0)
    scheduler = make_few_step_scheduler() if fast else make_scheduler()
    pipeline = assemble(make_vae(SIZES), make_denoiser(SIZES, tokenizer), tokenizer, scheduler)
    write_pipeline(pipeline, tokenizer_folder, tmp_path / "pipeline")
    loaded = DiffusionPipeline.from_pretrained(tmp_path / "pipeline", dtype=torch.float32)
    assert type(loaded) is StableDiffusionPipeline
    assert type(loaded.scheduler) is (DDIMScheduler if fast else DPMSolverMultistepScheduler)
    assert loaded.scheduler.config["prediction_type"] == "v_prediction"
    assert loaded.scheduler.config["timestep_spacing"] == "trailing"
    loaded.set_progress_bar_config(disable=True)  # type: ignore[no-untyped-call]
    picture = loaded("a red apple", num_inference_steps=2, guidance_scale=1.0).images[0]
    assert picture.size == (SIZES.image, SIZES.image)


def test_holds_float16_and_the_tokenizer_as_it_was_made(
    pipeline: StableDiffusionPipeline, tokenizer_folder: Path, tmp_path: Path
) -> None:
    write_pipeline(pipeline, tokenizer_folder, tmp_path)
    for file in tmp_path.rglob("*.safetensors"):
        assert all(tensor.dtype == torch.float16 for tensor in load_file(file).values() if tensor.is_floating_point())
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3
    for file in tokenizer_folder.iterdir():
        assert (tmp_path / "tokenizer" / file.name).read_bytes() == file.read_bytes()
    assert pipeline.unet.dtype == torch.float32
