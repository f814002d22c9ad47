"""Which tensors of a LoRA's file have a place in a model, by what they are called and by their shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from server.diffusion.lora_family import guess_family

_KOHYA = ("lora_unet_", "lora_te")


class UnfitLora(Exception):
    """A file that cannot be loaded onto this model.

    Attributes:
        index: which of those that were to be loaded.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.index = 0


def strange_names(shapes: Iterable[str]) -> list[str]:
    """The tensors that are not of the file's kind of LoRA.

    Args:
        shapes: all tensors of the file, by name.
    """
    names = set(shapes)
    kohya = {name.partition(".")[0] for name in names if name.startswith(_KOHYA)}
    if not kohya:
        return sorted(name for name in names if not re.search(r"lora|lokr|alpha|dora_scale", name))
    whole = {layer for layer in kohya if {f"{layer}.lora_down.weight", f"{layer}.lora_up.weight"} <= names}
    known = {"lora_down.weight", "lora_up.weight", "alpha", "dora_scale"}
    return sorted(name for name in names if name.partition(".")[0] not in whole or name.partition(".")[2] not in known)


def find_lost(
    twins: Mapping[str, nn.Module], state: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]
) -> set[str]:
    """The names that no layer has, and halves of a LoRA without the other half.

    Args:
        twins: the models, by the names of the components.
        state: what the converters of diffusers have made of the file.
        shapes: the tensors of the file itself, for the error.

    Raises:
        UnfitLora: a tensor has another shape than its layer.
    """
    layers = {name: dict(twin.named_modules()) for name, twin in twins.items()}
    halves: dict[tuple[str, str], dict[str, str]] = {}
    lost = set()
    for key, value in state.items():
        component, _, rest = key.partition(".")
        if component in layers and ".lokr_" in rest:
            continue
        name = next((name for name in _layer_names(rest) if name in layers.get(component, ())), None)
        if name is None or "lora" not in rest:
            lost.add(key)
        elif half := _half(rest):
            halves.setdefault((component, name), {})[half] = key
            _check_shape(layers[component][name], half, value, key, shapes)
    single = {key for found in halves.values() if len(found) == 1 for key in found.values()}
    return lost | single


def _layer_names(rest: str) -> Iterator[str]:
    """What the layer of a tensor may be called in the model, of all the ways in which diffusers writes LoRAs."""
    rest = rest.replace(".processor.", ".")
    name = re.split(r"\.lora(?:_|\.)|_lora\.", rest, maxsplit=1)[0]
    yield name
    yield name.removeprefix("text_model.")
    yield f"{name}.0"
    stem, _, last = name.rpartition(".")
    if last.startswith("to_"):
        old = f"{stem}.{last.removeprefix('to_')}_proj"
        yield old
        yield old.removeprefix("text_model.")


def _half(rest: str) -> str | None:
    match = re.search(r"lora_(A|B)\.weight$|[._](down|up)\.weight$", rest)
    return {"A": "down", "B": "up"}.get(match[1], match[2]) if match else None


def _check_shape(
    layer: nn.Module, half: str, value: torch.Tensor, key: str, shapes: Mapping[str, Sequence[int]]
) -> None:
    weight = getattr(getattr(layer, "base_layer", layer), "weight", None)
    # Packed weights, of quantized models, tell nothing.
    if not isinstance(weight, torch.Tensor) or not weight.is_floating_point() or weight.ndim < 2 or value.ndim < 2:
        return
    place = 1 if half == "down" else 0
    if value.shape[place] != weight.shape[place]:
        family = guess_family(shapes)
        made_for = f" It seems made for {family}." if family else ""
        raise UnfitLora(
            f"it does not fit this model: {key} is made for a layer {weight.shape[place]} wide here and "
            f"{value.shape[place]} wide there.{made_for} Choose one that was trained for this model.",
        )
