"""Make a picture again from what its file tells, and say whether the pixels are the same."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

from server.comparison import Comparison, compare
from server.diffusion.errors import MetadataError
from server.diffusion.imprint import read_metadata
from server.diffusion.metadata import Metadata, Provenance, UsedLora
from server.errors import ReproductionError
from server.manifest import Manifest
from server.oneoff import require_success, run_once
from server.outcome import files_in, write_output
from server.recorded import recorded_inputs
from server.settings import ModelSettings

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")

_COMPARED = ("num_inference_steps", "guidance_scale", "scheduler", "strength")
"""What of the metadata the model may have chosen by itself, and chosen otherwise now."""


async def reproduce_file(
    settings: ModelSettings, manifest: Manifest, file: Path, given: Sequence[str], output: Path | None
) -> bool:
    """Run the model as for the picture in `file`, and print how the two compare.

    Args:
        settings: what to load.
        manifest: the folder to load it from.
        file: the picture, as Darkroom wrote it.
        given: what it does not hold, each as `name=@path` or `name=value`.
        output: where the new picture goes, a file or a folder; `None` is nowhere.

    Returns:
        Whether the pixels are the same.

    Raises:
        ReproductionError: it cannot be tried.
        DarkroomError: the model cannot be loaded, or failed.
    """
    then = _read(file)
    settings = _with_its_weights(_with_its_model(settings, then.provenance), then.provenance)
    with tempfile.TemporaryDirectory(prefix="darkroom-") as scratch:
        prediction = await run_once(
            settings, manifest, lambda signature: recorded_inputs(then, signature, given), Path(scratch)
        )
        require_success(prediction)
        made = next((Path(made.path) for made in files_in(prediction.output)), None)
        if made is None:
            raise ReproductionError(f"{manifest.predictor} put no file out, so there is nothing to compare {file} to.")
        comparison = compare(file, made)
        print("\n".join(_verdict(file, comparison, then, _now(made))))
        if output is not None:
            write_output(prediction.output, output)
    return comparison.largest == 0


def _read(file: Path) -> Metadata:
    try:
        return read_metadata(file)
    except MetadataError as error:
        raise ReproductionError(str(error)) from error


def _now(made: Path) -> Metadata | None:
    try:
        return read_metadata(made)
    except MetadataError:
        return None


def _with_its_model(settings: ModelSettings, made_by: Provenance) -> ModelSettings:
    model, commit = made_by.model, made_by.revision or ""
    # A file may come from anywhere: only what can be nothing but a model of the Hub is taken from it.
    if not _HUB_ID.fullmatch(model) or not _COMMIT.fullmatch(commit):
        return settings
    if settings.model_id not in (None, model) or settings.model_revision is not None:
        return settings
    print(f"The model is {model} at commit {commit}, as the file says; --model-id takes another.", file=sys.stderr)
    return settings.model_copy(update={"model_id": model, "model_revision": commit})


def _with_its_weights(settings: ModelSettings, made_by: Provenance) -> ModelSettings:
    if made_by.quantization not in ("int8", "fp8") or "quantize" in settings.model_fields_set:
        return settings
    print(f"Its weights were {made_by.quantization}, as the file says; --quantize takes others.", file=sys.stderr)
    return settings.model_copy(update={"quantize": made_by.quantization})


def _verdict(file: Path, comparison: Comparison, then: Metadata, now: Metadata | None) -> Iterator[str]:
    (kind, made_kind), (size, made_size) = comparison.formats, comparison.sizes
    if comparison.largest == 0:
        yield f"Same pixels: {file} was made again exactly, {size[0]}x{size[1]}."
        return
    if comparison.largest is None:
        yield f"Different: {file} is {size[0]}x{size[1]}, and what was made {made_size[0]}x{made_size[1]}."
    else:
        yield (
            f"Different pixels: the largest difference from {file} is {comparison.largest} of 255, "
            f"PSNR {comparison.psnr:.1f} dB."
        )
    if size != (then.width, then.height):
        yield f"It was {then.width}x{then.height} when it was made: it has been scaled or cut since."
    if kind != made_kind:
        yield f"It was made as {made_kind} and is {kind}: it has been converted since."
    if now is None:
        yield "What is different now cannot be told: the predictor writes no metadata (embed_metadata)."
        return
    differences = list(_differences(then, now))
    if differences:
        yield "What is different now:"
        yield from (f"  {line}" for line in differences)
    else:
        yield (
            "Nothing that the file tells of is different now. Beside other pictures sums are rounded differently, "
            "which changes colours by 1 or 2; where it is more, the file was changed after it was made."
        )


def _differences(then: Metadata, now: Metadata) -> Iterator[str]:
    for field in fields(Provenance):
        before, after = getattr(then.provenance, field.name), getattr(now.provenance, field.name)
        if field.name == "versions":
            for name in {**before, **after}:
                if before.get(name) != after.get(name):
                    yield f"{name}: {before.get(name, 'none')} then, {after.get(name, 'none')} now"
        elif before != after:
            nothing = "none" if field.name == "quantization" else "not known"
            yield f"{field.name}: {before or nothing} then, {after or nothing} now"
    yield from _other_loras(then.loras, now.loras)
    for name in _COMPARED:
        before, after = getattr(then, name), getattr(now, name)
        if before != after:
            yield f"{name}: {_shown(before)} then, {_shown(after)} now"


def _other_loras(then: Sequence[UsedLora], now: Sequence[UsedLora]) -> Iterator[str]:
    if [(lora.source, lora.scale) for lora in then] != [(lora.source, lora.scale) for lora in now]:
        yield f"loras: {_named(then)} then, {_named(now)} now"
        return
    for before, after in zip(then, now, strict=True):
        if before.sha256 and after.sha256 and before.sha256 != after.sha256:
            yield f"the LoRA {before.source} is another file: SHA-256 {before.sha256} then, {after.sha256} now"


def _named(loras: Sequence[UsedLora]) -> str:
    return ", ".join(f"{lora.source} ({lora.scale}, SHA-256 {lora.sha256 or 'not known'})" for lora in loras) or "none"


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
