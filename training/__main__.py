"""The command line: each stage a command. script/train-emoji runs them in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import click

from training import stages
from training.budget import Budget
from training.device import choose_device, report
from training.drawing import draw, grid, recommended_settings, score
from training.judge import read_judge

PROMPTS = Path(__file__).with_name("prompts.txt").read_text().splitlines()
"""What the grid of the model card shows."""
TRAINED = Path(__file__).parents[1] / "models" / "emoji"
JUDGE = Path(__file__).with_name("judge.safetensors")

_work = click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=".cache/training",
    show_default=True,
    help="Folder that the stages read from and write to.",
)
_seed = click.option("--seed", default=0, show_default=True, help="What every random draw is made from.")
_train_steps = click.option("--steps", type=click.IntRange(min=1), help="Train for so many steps instead of seconds.")
_eager = click.option("--eager", is_flag=True, help="Do not compile: slower, but starts at once.")
_model = click.option(
    "--model",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=TRAINED,
    help="The pipeline's folder; models/emoji unless told.",
)
_draw_steps = click.option("--steps", type=click.IntRange(min=1), help="Those of the model card unless told.")
_guidance = click.option("--guidance", type=float, help="That of the model card unless told.")
_trajectories = click.option("--count", default=24_000, show_default=True, help="How many pictures the model draws.")


def _seconds(default: float) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option(
        "--seconds",
        type=click.FloatRange(min=0, min_open=True),
        default=default,
        show_default=True,
        help="How long to train in all.",
    )


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
    stages.build_pack(work, modules)


@main.command()
@_work
@_seed
@click.option("--count", default=400_000, show_default=True, help="How many pictures to plan.")
def recipes(work: Path, seed: int, count: int) -> None:
    """Train the tokenizer, and draw what to paint and what to call it."""
    stages.plan(work, count, seed)


@main.command()
@_work
@_seed
@_seconds(170)
@_train_steps
@_batch(96)
@_eager
def vae(work: Path, seed: int, seconds: float, steps: int | None, batch: int, eager: bool) -> None:
    """Train the autoencoder, and encode every recipe with it."""
    stages.train_autoencoder(work, Budget(seconds, steps), batch, seed, compiled=not eager)


@main.command()
@_work
@_seed
@_seconds(630)
@_train_steps
@_batch(256)
@_eager
@click.option("--until", type=float, help="Stop and save after so many seconds of this run; run again to go on.")
def unet(
    work: Path, seed: int, seconds: float, steps: int | None, batch: int, eager: bool, until: float | None
) -> None:
    """Train the UNet and the text encoder. Waits for the latents, compiling meanwhile."""
    stages.train_unet(work, Budget(seconds, steps), batch, seed, compiled=not eager, until=until)


@main.command()
@_work
@_seed
@_seconds(60)
@_train_steps
@_batch(96)
@_eager
def decoder(work: Path, seed: int, seconds: float, steps: int | None, batch: int, eager: bool) -> None:
    """Sharpen the autoencoder's decoder."""
    stages.sharpen(work, Budget(seconds, steps), batch, seed, compiled=not eager)


@main.command()
@_work
@click.option("--fast", is_flag=True, help="The distilled UNet, and the scheduler that it was taught with.")
def export(work: Path, fast: bool) -> None:
    """Put the parts together as a pipeline of stock diffusers, in float16."""
    stages.export(work, fast)


@main.command()
@_work
@_seed
@_seconds(150)
@_train_steps
@_batch(512)
@_eager
def judge(work: Path, seed: int, seconds: float, steps: int | None, batch: int, eager: bool) -> None:
    """Train the classifier that scores the pipeline."""
    stages.judge(work, Budget(seconds, steps), batch, seed, compiled=not eager)


@main.command()
@_work
@_model
@_seed
@_trajectories
def trajectories(work: Path, model: Path, seed: int, count: int) -> None:
    """Let the pipeline draw what `distil` learns from."""
    stages.trajectories(work, model, count, seed)


@main.command()
@_work
@_model
@_seed
@_seconds(130)
@_train_steps
@_batch(256)
@_eager
@_trajectories
def distil(
    work: Path, model: Path, seed: int, seconds: float, steps: int | None, batch: int, eager: bool, count: int
) -> None:
    """Teach the UNet to draw in a few steps without guidance. Waits for the trajectories, compiling meanwhile."""
    stages.distil(work, model, count, Budget(seconds, steps), batch, seed, compiled=not eager)


@main.command()
@_work
@_model
@_seed
@_seconds(100)
@_train_steps
@_batch(128)
def lora(work: Path, model: Path, seed: int, seconds: float, steps: int | None, batch: int) -> None:
    """Train the LoRA that draws in pixel art."""
    stages.train_lora(work, model, Budget(seconds, steps), batch, seed)


@main.command("draw")
@_model
@click.option("--lora", "lora_file", type=click.Path(path_type=Path, exists=True), help="Weights of a LoRA.")
@click.option("--prompts", type=click.File(), help="A file with a prompt a line; those of the model card unless told.")
@_draw_steps
@_guidance
@click.option("--seed", default=1, show_default=True)
@click.argument("file", type=click.Path(path_type=Path))
def draw_grid(
    model: Path,
    lora_file: Path | None,
    prompts: TextIO | None,
    steps: int | None,
    guidance: float | None,
    seed: int,
    file: Path,
) -> None:
    """Draw a sheet of pictures, eight a row, into FILE."""
    pipeline = stages.load_pipeline(model).to(choose_device())
    if lora_file:
        pipeline.load_lora_weights(lora_file.parent, weight_name=lora_file.name)
    wanted = [line.strip() for line in prompts] if prompts else PROMPTS
    settings = recommended_settings(model).but(steps, guidance)
    grid(draw(pipeline, wanted, settings, seed)).save(file)
    report(f"{len(wanted)} pictures in {file}")


@main.command("score")
@_model
@click.option(
    "--judge",
    "judge_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=JUDGE,
    help="The judge's weights; those in training/ unless told.",
)
@_draw_steps
@_guidance
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Ask for one concept in so many, for a quick look.",
)
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Pictures drawn at once.")
def score_model(
    model: Path, judge_file: Path, steps: int | None, guidance: float | None, every: int, batch: int
) -> None:
    """Ask for every concept by its name and let the judge say what it sees."""
    pipeline = stages.load_pipeline(model).to(choose_device())
    seeing = read_judge(judge_file)
    settings = recommended_settings(model).but(steps, guidance)
    result = score(pipeline, seeing, range(0, len(seeing.labels), every), settings, batch)
    report(
        f"Of {result.pictures} pictures, {settings.steps} steps and guidance {settings.guidance:g}, "
        f"the judge named {result.top_1:.1%} first, {result.top_5:.1%} among five"
    )
    print("Missed:", "; ".join(result.missed) or "none")


if __name__ == "__main__":
    main()
