"""Loading LoRAs onto twins of a pipeline's models, by the loader of diffusers itself."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.utils.peft_utils import set_weights_and_activate_adapters
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.overrides import TorchFunctionMode

from server.diffusion import notices
from server.diffusion.gates import Gate, gate_of, put_gate, remove_gates
from server.diffusion.lora_family import guess_family
from server.diffusion.memory import is_shortage
from server.diffusion.pipeline import private_copy
from server.diffusion.twins import make_twin

_log = logging.getLogger(__name__)

_KOHYA = ("lora_unet_", "lora_te")
_PLAIN_STARTS = {True, False, None, "gaussian", "orthogonal"}
"""How a LoRA may have begun its training; other ways also change the weights of the model that it is loaded onto."""


class UnfitLora(Exception):
    """A file that cannot be loaded onto this model.

    Attributes:
        index: which of those that were to be loaded.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.index = 0


@dataclass(frozen=True)
class Twins:
    """Models with LoRAs, in place of some of a pipeline's own.

    Attributes:
        originals: the pipeline's own models, by the names of the components.
        models: their twins, with gates of their own.
        leftovers: for each LoRA, the tensors of its file that have no place in the model.
        bytes: the memory that the LoRAs take.
    """

    originals: Mapping[str, nn.Module]
    models: Mapping[str, nn.Module]
    leftovers: Sequence[Sequence[str]]
    bytes: int

    def put_into(self, pipeline: DiffusionPipeline) -> DiffusionPipeline:
        """A copy of a pipeline that has the twins wherever that one has their originals."""
        own = private_copy(pipeline, getattr(pipeline, "scheduler", None))
        for name, original in self.originals.items():
            if getattr(own, name, None) is original:
                setattr(own, name, self.models[name])
        return own

    def dismiss(self) -> list[Gate]:
        """Take the gates off, when nothing calls the twins any more; which they were."""
        # A gate and its model hold each other, and would wait for the garbage collector.
        return [gate for model in self.models.values() for gate in remove_gates(model)]


def load_twins(pipeline: DiffusionPipeline, loras: Sequence[tuple[Path, float]]) -> Twins:
    """Make twins of those models of a pipeline that these LoRAs change, and load them.

    It may run on any thread, also while the pipeline is used: nothing of it is written to, and no random number drawn.

    Args:
        pipeline: one whose class takes LoRAs.
        loras: safetensors files, each with its scale as `pipeline.set_adapters` takes it.

    Raises:
        UnfitLora: a file is no LoRA, or none for this model.
        ModelError: the pipeline's models cannot have twins.
    """
    own: Any = private_copy(pipeline, getattr(pipeline, "scheduler", None))
    originals: dict[str, Any] = {
        name: model
        for name in own._lora_loadable_modules
        if isinstance(model := getattr(pipeline, name, None), nn.Module)
    }
    twins = {name: make_twin(model) for name, model in originals.items()}
    for name, twin in twins.items():
        setattr(own, name, twin)
    # Those that `setup` loaded, and which stay at work.
    active = [(layer, list(layer.active_adapters)) for twin in twins.values() for layer in _layers(twin)]
    names = [f"darkroom_{index}" for index in range(len(loras))]
    leftovers = []
    with torch.no_grad(), _NothingDrawn(), notices.heard(quietly=True):
        for index, (path, _) in enumerate(loras):
            try:
                leftovers.append(_load(own, twins, path, names[index]))
            except UnfitLora as unfit:
                unfit.index = index
                raise
        for twin in twins.values():
            # What `pipeline.set_adapters` does, which fails for UNets whose blocks differ in how many layers they have.
            set_weights_and_activate_adapters(twin, names, [scale for _, scale in loras])  # type: ignore[no-untyped-call]
        for layer, before in active:
            layer.set_adapter([*before, *names])
        size = sum(_settle(layer, set(names)) for twin in twins.values() for layer in _layers(twin))
    changed = {name: twin for name, twin in twins.items() if set(names) & set(getattr(twin, "peft_config", None) or ())}
    for name, twin in changed.items():
        put_gate(name, twin, gate_of(originals[name]))
    return Twins({name: originals[name] for name in changed}, changed, leftovers, size)


def _load(own: Any, twins: Mapping[str, nn.Module], path: Path, name: str) -> list[str]:
    """Load one file as the adapter `name`; the names of its tensors that have no place."""
    shapes = _read_shapes(path)
    strange = _strange_names(shapes)
    if len(strange) == len(shapes):
        raise UnfitLora(f"the file holds no LoRA: its tensors are {_list(shapes)}. Give a LoRA in safetensors.")
    original, leftovers = own.lora_state_dict, list(strange)

    def lora_state_dict(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        state, *rest = result if isinstance(result, tuple) else (result,)
        _check_start(rest)
        lost = _find_lost(twins, state, shapes)
        leftovers.extend(lost)
        # Families share text encoders: only of a file that has nothing else they are enough.
        telling = {key for key in state if not key.startswith("text_encoder")} or state.keys()
        if telling <= lost:
            raise UnfitLora(_no_match(own, shapes))
        kept = {key: value for key, value in state.items() if key not in lost}
        return (kept, *rest) if isinstance(result, tuple) else kept

    # Between what the converters of diffusers make of the file and what the models get.
    own.lora_state_dict = lora_state_dict
    try:
        with _without(path, strange) as file:
            # peft's other way to make layers, without memory, replaces a function of torch for all threads.
            own.load_lora_weights(str(file), adapter_name=name, use_safetensors=True, low_cpu_mem_usage=False)
    except UnfitLora:
        raise
    except Exception as error:
        if is_shortage(error):
            raise
        _log.info("diffusers cannot load the LoRA %s.", path, exc_info=True)
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UnfitLora(f"{_no_match(own, shapes)} diffusers says: {reason[:500]}") from error
    finally:
        del own.lora_state_dict
    return leftovers


def _read_shapes(path: Path) -> dict[str, list[int]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118


@contextmanager
def _without(path: Path, names: Iterable[str]) -> Iterator[Path]:
    """The file, or a copy that lacks these tensors: a single strange one makes diffusers refuse it as a whole."""
    left_out = set(names)
    if not left_out:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder, safe_open(path, framework="pt") as file:
        copy = Path(folder) / "lora.safetensors"
        save_file({name: file.get_tensor(name) for name in file.keys() if name not in left_out}, copy, file.metadata())  # noqa: SIM118
        yield copy


def _strange_names(shapes: Iterable[str]) -> list[str]:
    """The tensors that are not of the file's kind of LoRA."""
    names = set(shapes)
    kohya = {name.partition(".")[0] for name in names if name.startswith(_KOHYA)}
    if not kohya:
        return sorted(name for name in names if not re.search(r"lora|lokr|alpha|dora_scale", name))
    whole = {layer for layer in kohya if {f"{layer}.lora_down.weight", f"{layer}.lora_up.weight"} <= names}
    known = {"lora_down.weight", "lora_up.weight", "alpha", "dora_scale"}
    return sorted(name for name in names if name.partition(".")[0] not in whole or name.partition(".")[2] not in known)


def _check_start(rest: Sequence[Any]) -> None:
    for metadata in rest:
        for key, value in metadata.items() if isinstance(metadata, Mapping) else ():
            if key.endswith("init_lora_weights") and value not in _PLAIN_STARTS:
                raise UnfitLora(
                    f"it was trained from {value!r}, which changes the model's own weights. Convert it to a plain LoRA "
                    "(in peft: save_pretrained with path_initial_model_for_weight_conversion).",
                )


def _find_lost(
    twins: Mapping[str, nn.Module], state: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]
) -> set[str]:
    """The names that no layer has, and halves of a LoRA without the other half."""
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


def _no_match(own: Any, shapes: Mapping[str, Sequence[int]]) -> str:
    family = guess_family(shapes)
    made_for = f"It seems made for {family}" if family else f"Its tensors are {_list(shapes)}"
    return f"it does not match this model ({type(own).__name__}). {made_for}. Choose one that was trained for it."


def _settle(layer: Any, names: set[str]) -> int:
    """Put a layer's new adapters where its weights are and into their type; how many bytes they have."""
    weight = layer.get_base_layer().weight
    size = 0
    for name, parameter in layer.named_parameters():
        if names.isdisjoint(name.split(".")):
            continue
        dtype = weight.dtype if weight.is_floating_point() else parameter.dtype
        parameter.data = parameter.data.to(weight.device, dtype)
        size += parameter.nbytes
    return size


def _layers(model: nn.Module) -> list[Any]:
    return [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]


def _list(names: Iterable[str], most: int = 3) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (" …" if len(every) > most else "")


class _NothingDrawn(TorchFunctionMode):
    """New layers begin as zeros on this thread: the random generators belong to the requests that run meanwhile."""

    _DRAWS = frozenset(
        {torch.Tensor.uniform_, torch.Tensor.normal_}
        | {nn.init.uniform_, nn.init.normal_, nn.init.trunc_normal_, nn.init.orthogonal_}
        | {nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.xavier_uniform_, nn.init.xavier_normal_}
    )

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func in self._DRAWS:
            tensor: torch.Tensor = args[0] if args else named["tensor"]
            return tensor.zero_()
        return func(*args, **named)
