"""The stages of training, each from files of the work folder to others. No stage needs another's process."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from training.budget import Budget
from training.decoder import sharpen_decoder
from training.device import choose_device, move, report
from training.distillation import STEPS, Distillation, draw_trajectories
from training.export import assemble, write_pipeline
from training.judge import train_judge, write_judge
from training.latents import empty_latents, encode_recipes, write_latents
from training.networks import Sizes, make_few_step_scheduler, make_scheduler
from training.pack import read_pack
from training.painting import Painter, load_recipes
from training.recipes import write_recipes
from training.tokenizer import padded, train_tokenizer
from training.unet import Denoiser, UNetTraining, make_denoiser
from training.vae import train_vae


def build_pack(work: Path, modules: Path) -> None:
    """npm's `modules` to pack/."""
    from training import sources  # needs a renderer that the other stages do not

    report(f"{sources.build_pack(modules, work / 'pack')} pictures in {work / 'pack'}")


def plan(work: Path, count: int, seed: int) -> None:
    """pack/ to tokenizer/ and recipes.npz."""
    train_tokenizer(read_pack(work / "pack"), work / "tokenizer")
    write_recipes(work / "pack", work / "tokenizer", work / "recipes.npz", count, seed)
    report(f"{count} recipes in {work / 'recipes.npz'}")


def train_autoencoder(work: Path, budget: Budget, batch: int, seed: int, compiled: bool) -> None:
    """recipes.npz to vae/ and latents.pt."""
    painter = _painter(work)
    trained = train_vae(painter, Sizes(), budget, batch, seed, compiled)
    trained.save_pretrained(work / "vae")
    write_latents(encode_recipes(trained, painter, seed), work / "latents.pt")
    report(f"{painter.count} latents in {work / 'latents.pt'}")


def train_unet(work: Path, budget: Budget, batch: int, seed: int, compiled: bool, until: float | None) -> None:
    """recipes.npz and latents.pt to unet/, text_encoder/ and unet.json; unet.pt is what it goes on from.

    It compiles while latents.pt is not there yet. `until` is when to stop and save, in seconds from the call.
    """
    started = time.monotonic()
    device = choose_device()
    torch.manual_seed(seed)
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    tokens = torch.from_numpy(load_recipes(work / "recipes.npz")["tokens"]).to(device)
    latents = empty_latents(len(tokens), Sizes().image, device)
    training = UNetTraining(make_denoiser(Sizes(), tokenizer), latents, tokens, tokenizer, batch, seed)
    if compiled:
        training.compile()
        report("The step of the UNet is compiled and recorded")
    latents.copy_(_awaited(work / "latents.pt"))
    checkpoint = work / "unet.pt"
    if checkpoint.exists():
        training.load(checkpoint)
        report(f"Going on from step {training.step_count}, {training.spent:.0f} s")
    if until is not None:
        budget.stop_after = until - (time.monotonic() - started)
    done = training.train(budget)
    training.save(checkpoint)
    report(
        f"UNet after {training.step_count} steps, {training.spent:.0f} s: {'done' if done else 'to be gone on with'}"
    )
    averaged = training.averaged()
    averaged.unet.save_pretrained(work / "unet")
    averaged.text_encoder.save_pretrained(work / "text_encoder")
    (work / "unet.json").write_text(json.dumps({"steps": training.step_count, "batch": batch, "done": done}))


def sharpen(work: Path, budget: Budget, batch: int, seed: int, compiled: bool) -> None:
    """vae/ to vae-sharp/."""
    painter = _painter(work)
    blurred = _vae(work / "vae")
    move(blurred, painter.device)
    sharpen_decoder(blurred, painter, budget, batch, seed, compiled).save_pretrained(work / "vae-sharp")


def export(work: Path, fast: bool) -> None:
    """The parts to pipeline/, or to pipeline-fast/ with unet-few-steps/ in the place of unet/."""
    unet, folder = ("unet-few-steps", work / "pipeline-fast") if fast else ("unet", work / "pipeline")
    sharp = work / "vae-sharp"
    denoiser = Denoiser(
        UNet2DConditionModel.from_pretrained(work / unet, dtype=torch.float32),
        CLIPTextModel.from_pretrained(work / "text_encoder", dtype=torch.float32),
    )
    vae = _vae(sharp if sharp.exists() else work / "vae")
    scheduler = make_few_step_scheduler() if fast else make_scheduler()
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    write_pipeline(assemble(vae, denoiser, tokenizer, scheduler), work / "tokenizer", folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    report(f"{size / 1e6:.1f} MB in {folder}")


def judge(work: Path, budget: Budget, batch: int, seed: int, compiled: bool) -> None:
    """pack/ to judge.safetensors."""
    trained = train_judge(read_pack(work / "pack"), budget, batch, seed, choose_device(), compiled)
    write_judge(trained, work / "judge.safetensors")


def trajectories(work: Path, model: Path, count: int, seed: int) -> None:
    """recipes.npz and the pipeline in `model` to trajectories.pt."""
    pipeline = load_pipeline(model).to(choose_device())
    move(pipeline.unet, choose_device())
    write_latents(draw_trajectories(pipeline, _captions(work, pipeline, count), seed), work / "trajectories.pt")
    report(f"{count} trajectories in {work / 'trajectories.pt'}")


def distil(work: Path, model: Path, count: int, budget: Budget, batch: int, seed: int, compiled: bool) -> None:
    """trajectories.pt to unet-few-steps/. It compiles while trajectories.pt is not there yet."""
    device = choose_device()
    pipeline = load_pipeline(model)
    room = torch.unflatten(empty_latents(count * (STEPS + 1), Sizes().image, device), 0, (count, STEPS + 1))
    tokens = _captions(work, pipeline, count)
    distillation = Distillation(pipeline.unet, pipeline.text_encoder, room, tokens, batch)
    if compiled:
        distillation.compile()
        report("The step of the distillation is compiled and recorded")
    room.copy_(_awaited(work / "trajectories.pt"))
    distillation.train(budget, seed).save_pretrained(work / "unet-few-steps")


def train_lora(work: Path, model: Path, budget: Budget, batch: int, seed: int) -> None:
    """recipes.npz and the pipeline in `model` to loras/pixel-art/."""
    from training.lora import train_pixel_art  # needs peft, which the other stages do not

    train_pixel_art(load_pipeline(model), _painter(work, 20_000), budget, batch, seed, work / "loras" / "pixel-art")


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """A pipeline's folder, in float32."""
    pipeline: StableDiffusionPipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    return pipeline


def _painter(work: Path, count: int | None = None) -> Painter:
    pictures = read_pack(work / "pack").pictures(Sizes().image)
    return Painter(pictures, load_recipes(work / "recipes.npz", count), choose_device())


def _captions(work: Path, pipeline: StableDiffusionPipeline, count: int) -> Tensor:
    """The first caption of the first recipes, padded: (count, 77)."""
    tokens = torch.from_numpy(load_recipes(work / "recipes.npz", count)["tokens"][:, 0])
    return padded(tokens, pipeline.tokenizer).to(choose_device())


def _awaited(file: Path) -> Tensor:
    """What another process writes by `write_latents`, perhaps only later."""
    while not file.exists():
        time.sleep(0.5)
    latents: Tensor = torch.load(file, weights_only=True)
    return latents


def _vae(folder: Path) -> AutoencoderKL:
    vae: AutoencoderKL = AutoencoderKL.from_pretrained(folder, dtype=torch.float32)
    return vae
