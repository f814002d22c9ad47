"""Gates: where a request for pictures leaves its expensive calls to whoever can make them for several at once."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from typing import Any, Protocol

import torch
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from greenlet import getcurrent
from transformers import PreTrainedModel

_DECODED_LATENTS = 128 * 128
"""The latents that are decoded in one pass: those of one picture of 1024x1024, or of four of 512x512."""


class Stage(IntEnum):
    """The part that a call has in making a picture; of those that wait, the lowest come first."""

    PREPARE = 0
    """Texts and pictures are encoded, once a request."""
    DECODE = 1
    """Latents become a picture, once a request."""
    DENOISE = 2
    """One denoising step."""


_at_once: ContextVar[bool] = ContextVar("at_once", default=False)


class Gate:
    """One method of a component of a pipeline, such as `unet.forward`.

    Args:
        name: what it is called in logs, `unet` or `vae.decode`.
        stage: its part in making a picture.
        function: the method as it was before the gate was put on it.
        module: the component, of which it may be a wrapped method.
        ignored: arguments that change nothing in its result.
        dtype: what floating-point tensors are turned into, called each time; `None` leaves them as they are.
        original: the gate of the component that this one's is a variant of, with other adapters. What a variant costs
            is learnt together with it, and the variant, which may soon be replaced, is not worth compiling.
        stateful: whether the component keeps something from one call to the next, so that a call can be made only as it
            is, and once.
        autoencodes: whether pictures are its input or its output, in all their pixels.
    """

    def __init__(
        self,
        name: str,
        stage: Stage,
        function: Callable[..., Any],
        module: Any = None,
        *,
        ignored: frozenset[str] = frozenset(),
        dtype: Callable[[], torch.dtype] | None = None,
        original: Gate | None = None,
        stateful: bool = False,
        autoencodes: bool = False,
    ) -> None:
        self.name = name
        self.stage = stage
        self.function = function
        self.original = original
        self.stateful = stateful
        self._ignored = ignored
        self._dtype = dtype
        self._autoencodes = autoencodes
        self._signature = inspect.signature(function)
        self.module = module

    def __repr__(self) -> str:
        return f"Gate({self.name})"

    def most_rows(self, first: torch.Tensor | None, most: int) -> int:
        """How many rows a pass may have whose calls begin with an argument like `first`.

        A card is busy with few large pictures to decode; more of them only make others wait. A processor is busy with
        one: several take as long for each, or longer, and as much memory as they are, of which the C library gives
        back little. So a process would grow whenever more of them meet than ever before.
        """
        if first is None:
            return most
        if self._autoencodes and first.device.type == "cpu":
            return 1
        if self.stage is not Stage.DECODE:
            return most
        return max(1, min(most, _DECODED_LATENTS // max(1, math.prod(first.shape[-2:]))))

    @property
    def adapters(self) -> tuple[str, ...]:
        """The names of the adapters (LoRAs) that the component has; what is recorded of it holds for these alone."""
        return tuple(getattr(self.module, "peft_config", None) or ())

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name, without those that are the default or ignored.

        Raises:
            TypeError: the method takes no such arguments.
        """
        arguments: dict[str, Any] = {}
        for name, value in self._signature.bind(*args, **kwargs).arguments.items():
            parameter = self._signature.parameters[name]
            match parameter.kind:
                case inspect.Parameter.VAR_KEYWORD:
                    arguments.update(value)
                case inspect.Parameter.VAR_POSITIONAL:
                    raise TypeError(f"{self.name} was called with nameless arguments")
                case _ if not _is_default(value, parameter.default):
                    arguments[name] = value
        return {name: self._cast(value) for name, value in arguments.items() if name not in self._ignored}

    def _cast(self, value: Any) -> Any:
        if self._dtype and isinstance(value, torch.Tensor) and value.is_floating_point():
            return value.to(self._dtype())
        return value


class Parking(Protocol):
    """The greenlet that a request runs in."""

    def park(self, gate: Gate, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Wait until somebody has made this call, and return its result."""


def put_gates(pipeline: DiffusionPipeline) -> None:
    """Put a gate on each component that is worth it. Outside a request they let everything pass.

    Between the calls of one request others are made. So, within a request, a component stays in the type and on the
    device that it has: pipelines that turn an autoencoder to float32 and back would turn it for everybody.
    """
    for name, module in pipeline.components.items():
        if not isinstance(module, torch.nn.Module) or name == "safety_checker":
            continue
        if hasattr(module, "encode") and hasattr(module, "decode"):
            options = {"dtype": _dtype_of(module), "autoencodes": True}
            _put(module, "encode", f"{name}.encode", Stage.PREPARE, **options)
            _put(module, "decode", f"{name}.decode", Stage.DECODE, ignored=_ignored(module), **options)
            _hold(module)
        else:
            put_gate(name, module)


def put_gate(name: str, module: torch.nn.Module, original: Gate | None = None, *, stateful: bool = False) -> None:
    """Put a gate on a model's `forward`, if it is worth it.

    Args:
        name: what it is called in its pipeline.
        original: the gate of the component that it is a variant of.
        stateful: whether the model keeps something from one call to the next.
    """
    match module:
        case ModelMixin():
            _put(module, "forward", name, Stage.DENOISE, original=original, stateful=stateful)
        case PreTrainedModel():
            _put(module, "forward", name, Stage.PREPARE, original=original, stateful=stateful)
        case _:
            return
    _hold(module)


def remove_gates(module: torch.nn.Module) -> list[Gate]:
    """Leave a component, or a copy of one, as it was before gates were put on it; the gates that it had."""
    put = {name: value for name, value in vars(module).items() if hasattr(value, "gate") or hasattr(value, "moves")}
    for name in put:
        delattr(module, name)
    return [value.gate for value in put.values() if hasattr(value, "gate")]


def gate_of(module: torch.nn.Module, method: str = "forward") -> Gate | None:
    """The gate on a method of a component, if it has one."""
    gate = getattr(getattr(module, method, None), "gate", None)
    return gate if isinstance(gate, Gate) else None


@contextmanager
def made_at_once() -> Iterator[None]:
    """Have a request's calls within made at once, and alone, while it has something changed that others use, too."""
    token = _at_once.set(True)
    try:
        yield
    finally:
        _at_once.reset(token)


def _put(module: Any, method: str, name: str, stage: Stage, **options: Any) -> None:
    if gate_of(module, method):
        return
    function = getattr(module, method)
    gate = Gate(name, stage, function, module, **options)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        request = None if _at_once.get() else _request()
        return request.park(gate, args, kwargs) if request else function(*args, **kwargs)

    call.gate = gate  # type: ignore[attr-defined]
    setattr(module, method, call)


def _hold(module: Any) -> None:
    if hasattr(module.to, "moves"):
        return
    moves = module.to

    @functools.wraps(moves)
    def to(*args: Any, **kwargs: Any) -> Any:
        return module if _request() else moves(*args, **kwargs)

    to.moves = moves  # type: ignore[attr-defined]
    module.to = to


def _request() -> Parking | None:
    current: Any = getcurrent()
    return current if hasattr(current, "park") else None


def _ignored(module: torch.nn.Module) -> frozenset[str]:
    # These decode without chance, and take a generator only because others need one.
    deterministic = type(module).__name__.startswith(("AutoencoderKL", "AutoencoderDC", "AutoencoderTiny"))
    return frozenset({"generator"}) if deterministic else frozenset()


def _dtype_of(module: torch.nn.Module) -> Callable[[], torch.dtype]:
    return lambda: next(module.parameters()).dtype


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (
        isinstance(value, bool | int | float | str) and type(value) is type(default) and value == default
    )
