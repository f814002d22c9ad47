"""The stages of training, each a command; script/train-emoji runs them in order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from transformers import CLIPTokenizer

from training.budget import Budget
from training.decoder import sharpen_decoder
from training.device import choose_device, report
from training.distillation import STEPS, Distillation, draw_trajectories
from training.drawing import draw, grid, score
from training.export import assemble, write_pipeline
from training.judge import read_judge, train_judge, write_judge
from training.latents import empty_latents, encode_recipes, write_latents
from training.networks import Sizes
from training.pack import read_pack
from training.painting import Painter, load_recipes
from training.recipes import write_recipes
from training.tokenizer import train_tokenizer
from training.unet import UNetTraining, make_denoiser
from training.vae import train_vae

PROMPTS = Path(__file__).with_name("prompts.txt").read_text().splitlines()
"""What the grid of the model card shows."""
TRAINED = Path(__file__).parents[1] / "models" / "emoji"

_work = click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=".cache/training",
    show_default=True,
    help="Folder that the stages read from and write to.",
)
_seed = click.option("--seed", default=0, show_default=True, help="What every random draw is made from.")
_steps = click.option("--steps", type=int, help="Train for so many steps instead of seconds.")
_eager = click.option("--eager", is_flag=True, help="Do not compile: slower, but starts at once.")
_model = click.option(
    "--model",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=TRAINED,
    help="The pipeline's folder; models/emoji unless told.",
)


def _seconds(default: float) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option("--seconds", default=default, show_default=True, help="How long to train in all.")


def _batch(default: int) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option("--batch", default=default, show_default=True, help="Pictures a step.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train the embedded model, stage by stage."""


@main.command()
@_work
@click.option("--modules", type=click.Path(path_type=Path, exists=True), required=True, help="npm's node_modules.")
def pack(work: Path, modules: Path) -> None:
    """Render the emoji sets into one file of pictures."""
    from training.sources import build_pack  # needs a renderer that the other stages do not

    report(f"{build_pack(modules, work / 'pack')} pictures in {work / 'pack'}")


@main.command()
@_work
@_seed
@click.option("--count", default=400_000, show_default=True, help="How many pictures to plan.")
def recipes(work: Path, seed: int, count: int) -> None:
    """Train the tokenizer, and draw what to paint and what to call it."""
    train_tokenizer(read_pack(work / "pack"), work / "tokenizer")
    write_recipes(work / "pack", work / "tokenizer", work / "recipes.npz", count, seed)
    report(f"{count} recipes in {work / 'recipes.npz'}")


@main.command()
@_work
@_seed
@_seconds(170)
@_steps
@_batch(96)
@_eager
def vae(work: Path, seed: int, seconds: float, steps: int | None, batch: int, eager: bool) -> None:
    """Train the autoencoder, and encode every recipe with it."""
    painter = _painter(work)
    trained = train_vae(painter, Sizes(), Budget(seconds, steps), batch, seed, compiled=not eager)
    trained.save_pretrained(work / "vae")
    write_latents(encode_recipes(trained, painter, seed), work / "latents.pt")
    report(f"{painter.count} latents in {work / 'latents.pt'}")


@main.command()
@_work
@_seed
@_seconds(630)
@_steps
@_batch(256)
@_eager
@click.option("--until", type=float, help="Stop and save after so many seconds of this run; run again to go on.")
def unet(
    work: Path, seed: int, seconds: float, steps: int | None, batch: int, eager: bool, until: float | None
) -> None:
    """Train the UNet and the text encoder. Waits for the latents, compiling meanwhile."""
    started = time.monotonic()
    device = choose_device()
    torch.manual_seed(seed)
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    tokens = torch.from_numpy(load_recipes(work / "recipes.npz")["tokens"]).to(device)
    latents = empty_latents(len(tokens), Sizes().image, device)
    training = UNetTraining(make_denoiser(Sizes(), tokenizer), latents, tokens, tokenizer, batch, seed)
    if not eager:
        training.compile()
        report("The step of the UNet is compiled and recorded")
    while not (work / "latents.pt").exists():
        time.sleep(0.5)
    latents.copy_(torch.load(work / "latents.pt", weights_only=True))
    checkpoint = work / "unet.pt"
    if checkpoint.exists():
        training.load(checkpoint)
        report(f"Going on from step {training.step_count}, {training.spent:.0f} s")
    budget = Budget(seconds, steps)
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


@main.command()
@_work
@_seed
@_seconds(60)
@_steps
@_batch(96)
@_eager
def decoder(work: Path, seed: int, seconds: float, steps: int | None, batch: int, eager: bool) -> None:
    """Sharpen the autoencoder's decoder."""
    painter = _painter(work)
    blurred = _vae(work / "vae").to(painter.device, memory_format=torch.channels_last)
    sharp = sharpen_decoder(blurred, painter, Budget(seconds, steps), batch, seed, compiled=not eager)
    sharp.save_pretrained(work / "vae-sharp")


@main.command()
@_work
def export(work: Path) -> None:
    """Put the parts together as a pipeline of stock diffusers, in float16."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    from training.unet import Denoiser

    sharp = work / "vae-sharp"
    pipeline = assemble(
        _vae(sharp if sharp.exists() else work / "vae"),
        Denoiser(
            UNet2DConditionModel.from_pretrained(work / "unet", torch_dtype=torch.float32),
            CLIPTextModel.from_pretrained(work / "text_encoder", torch_dtype=torch.float32),
        ),
        CLIPTokenizer.from_pretrained(work / "tokenizer"),
    )
    write_pipeline(pipeline, work / "tokenizer", work / "pipeline")
    size = sum(file.stat().st_size for file in (work / "pipeline").rglob("*") if file.is_file())
    report(f"{size / 1e6:.1f} MB in {work / 'pipeline'}")


@main.command()
@_work
@_seed
@_seconds(90)
@_steps
@_batch(512)
@_eager
def judge(work: Path, seed: int, seconds: float, steps: int | None, batch: int, eager: bool) -> None:
    """Train the classifier that scores the pipeline."""
    device = choose_device()
    trained = train_judge(read_pack(work / "pack"), Budget(seconds, steps), batch, seed, device, compiled=not eager)
    write_judge(trained, work / "judge.safetensors")


@main.command()
@_work
@_model
@_seed
@click.option("--count", default=24_000, show_default=True, help="How many pictures to draw.")
def trajectories(work: Path, model: Path, seed: int, count: int) -> None:
    """Let the pipeline draw what `distil` learns from."""
    pipeline = _pipeline(model).to(choose_device())
    pipeline.unet.to(memory_format=torch.channels_last)
    drawn = draw_trajectories(pipeline, _captions(work, pipeline, count), seed)
    write_latents(drawn, work / "trajectories.pt")
    report(f"{count} trajectories in {work / 'trajectories.pt'}")


@main.command()
@_work
@_model
@_seed
@_seconds(120)
@_steps
@_batch(256)
@_eager
@click.option("--count", default=24_000, show_default=True, help="How many pictures there are.")
def distil(
    work: Path, model: Path, seed: int, seconds: float, steps: int | None, batch: int, eager: bool, count: int
) -> None:
    """Teach the UNet to draw in a few steps without guidance. Waits for the trajectories, compiling meanwhile."""
    device = choose_device()
    pipeline = _pipeline(model)
    size = Sizes().image
    room = empty_latents(count * (STEPS + 1), size, device).unflatten(0, (count, STEPS + 1))
    tokens = _captions(work, pipeline, count).to(device)
    distillation = Distillation(pipeline.unet, pipeline.text_encoder, room, tokens, batch)
    if not eager:
        distillation.compile()
        report("The step of the distillation is compiled and recorded")
    while not (work / "trajectories.pt").exists():
        time.sleep(0.5)
    room.copy_(torch.load(work / "trajectories.pt", weights_only=True))
    distillation.train(Budget(seconds, steps), seed).save_pretrained(work / "unet-few-steps")


@main.command()
@_work
@_model
@_seed
@_seconds(60)
@_steps
@_batch(128)
def lora(work: Path, model: Path, seed: int, seconds: float, steps: int | None, batch: int) -> None:
    """Train the LoRA that draws in pixel art."""
    from training.lora import train_pixel_art  # needs peft, which the other stages do not

    painter = _painter(work, 20_000)
    train_pixel_art(_pipeline(model), painter, Budget(seconds, steps), batch, seed, work / "loras" / "pixel-art")


@main.command("draw")
@_model
@click.option("--lora", "lora_file", type=click.Path(path_type=Path, exists=True), help="Weights of a LoRA.")
@click.option("--prompts", type=click.File(), help="A file with a prompt a line; those of the model card unless told.")
@click.option("--steps", default=20, show_default=True)
@click.option("--guidance", default=5.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.argument("file", type=click.Path(path_type=Path))
def draw_grid(
    model: Path,
    lora_file: Path | None,
    prompts: click.utils.LazyFile | None,
    steps: int,
    guidance: float,
    seed: int,
    file: Path,
) -> None:
    """Draw a sheet of pictures, eight a row, into FILE."""
    pipeline = _pipeline(model).to(choose_device())
    if lora_file:
        pipeline.load_lora_weights(lora_file.parent, weight_name=lora_file.name)
    wanted = [line.strip() for line in prompts] if prompts else PROMPTS
    grid(draw(pipeline, wanted, steps, guidance, seed)).save(file)
    report(f"{len(wanted)} pictures in {file}")


@main.command("score")
@_work
@_model
@click.option("--steps", default=20, show_default=True)
@click.option("--guidance", default=5.0, show_default=True)
@click.option("--every", default=1, show_default=True, help="Take only every so manieth concept.")
@click.option("--batch", default=8, show_default=True)
def score_model(work: Path, model: Path, steps: int, guidance: float, every: int, batch: int) -> None:
    """Ask for every concept by its name and let the judge say what it sees."""
    concepts = read_pack(work / "pack").concepts
    numbers = range(0, len(concepts), every)
    pipeline = _pipeline(model).to(choose_device())
    result = score(pipeline, read_judge(work / "judge.safetensors"), concepts, numbers, steps, guidance, batch)
    report(f"Of {result.pictures} pictures the judge named {result.top_1:.1%} first, {result.top_5:.1%} among five")
    print("Missed:", "; ".join(result.missed))


def _painter(work: Path, count: int | None = None) -> Painter:
    pictures = read_pack(work / "pack").pictures(Sizes().image)
    return Painter(pictures, load_recipes(work / "recipes.npz", count), choose_device())


def _captions(work: Path, pipeline: StableDiffusionPipeline, count: int) -> torch.Tensor:
    """The first caption of the first recipes, padded: (count, 77)."""
    tokens = torch.from_numpy(load_recipes(work / "recipes.npz", count)["tokens"][:, 0]).long()
    missing = pipeline.tokenizer.model_max_length - tokens.shape[1]
    padded = torch.nn.functional.pad(tokens, (0, missing), value=pipeline.tokenizer.eos_token_id)
    return padded.to(choose_device())


def _vae(folder: Path) -> AutoencoderKL:
    vae: AutoencoderKL = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32)
    return vae


def _pipeline(folder: Path) -> StableDiffusionPipeline:
    pipeline: StableDiffusionPipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    return pipeline


if __name__ == "__main__":
    main()
