from __future__ import annotations

from pathlib import Path

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from safetensors.torch import load_file

from training.budget import Budget
from training.export import write_pipeline
from training.lora import train_pixel_art
from training.painting import Painter


def test_what_was_trained_is_small_and_changes_the_picture(
    pipeline: StableDiffusionPipeline, painter: Painter, tokenizer_folder: Path, tmp_path: Path
) -> None:
    write_pipeline(pipeline, tokenizer_folder, tmp_path / "pipeline")
    train_pixel_art(pipeline, painter, Budget(0, steps=3), batch=4, seed=0, folder=tmp_path / "lora")
    file = tmp_path / "lora" / "pytorch_lora_weights.safetensors"
    assert [path.name for path in (tmp_path / "lora").iterdir()] == [file.name]
    assert file.stat().st_size < 1e6
    assert all(name.startswith("unet.") for name in load_file(file))

    loaded = StableDiffusionPipeline.from_pretrained(tmp_path / "pipeline", dtype=torch.float32)
    loaded.set_progress_bar_config(disable=True)  # type: ignore[no-untyped-call]

    def drawn() -> torch.Tensor:
        latents: torch.Tensor = loaded(
            "a red apple",
            num_inference_steps=2,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        ).images
        return latents

    def difference() -> float:
        return float((drawn() - without).abs().max())

    without = drawn()
    assert difference() == 0
    loaded.load_lora_weights(tmp_path / "lora")
    adapters = [name for name, _ in loaded.unet.named_modules() if name.endswith(".lora_A")]
    assert 2 * len(adapters) == len(load_file(file))
    assert any("attn1.to_q" in name for name in adapters)
    assert any("conv1" in name for name in adapters)
    # After three steps of training it does little, and still much more than another place of weights in memory.
    assert difference() > 1e-4
    loaded.unload_lora_weights()  # type: ignore[no-untyped-call]
    assert difference() < 2e-5
