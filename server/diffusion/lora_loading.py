"""Loading LoRAs onto twins of a pipeline's models, by the loader of diffusers itself."""

from __future__ import annotations

import logging
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
from server.diffusion.errors import first_line
from server.diffusion.gates import Gate, gate_of, put_gate, remove_gates
from server.diffusion.lora_family import guess_family
from server.diffusion.lora_tensors import UnfitLora, find_lost, strange_names
from server.diffusion.memory import is_shortage
from server.diffusion.pipeline import private_copy
from server.diffusion.twins import make_twin

_log = logging.getLogger(__name__)

_PLAIN_STARTS = {True, False, None, "gaussian", "orthogonal"}
"""How a LoRA may have begun its training; other ways also change the weights of the model that it is loaded onto."""


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
    strange = strange_names(shapes)
    if len(strange) == len(shapes):
        raise UnfitLora(f"the file holds no LoRA: its tensors are {_list(shapes)}. Give a LoRA in safetensors.")
    original, leftovers = own.lora_state_dict, list(strange)

    def lora_state_dict(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        state, *rest = result if isinstance(result, tuple) else (result,)
        _check_start(rest)
        lost = find_lost(twins, state, shapes)
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
        reason = first_line(error) or type(error).__name__
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


def _check_start(rest: Sequence[Any]) -> None:
    for metadata in rest:
        for key, value in metadata.items() if isinstance(metadata, Mapping) else ():
            if key.endswith("init_lora_weights") and value not in _PLAIN_STARTS:
                raise UnfitLora(
                    f"it was trained from {value!r}, which changes the model's own weights. Convert it to a plain LoRA "
                    "(in peft: save_pretrained with path_initial_model_for_weight_conversion).",
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
