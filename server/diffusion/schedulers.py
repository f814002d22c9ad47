"""Schedulers by the names that clients know, each made for one request from the loaded model's own configuration."""

import copy
import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import diffusers
import numpy as np
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_flow_match_heun_discrete import FlowMatchHeunDiscreteScheduler

from server.diffusion.errors import InputError

Scheduler = Any
"""A scheduler of diffusers: they share a mixin, but no type that has what they all have."""


@dataclass(frozen=True)
class _Recipe:
    """How a name becomes a scheduler.

    Attributes:
        name: the class of diffusers for models that predict noise, velocity or the picture.
        flow: the class for models trained by flow matching, or `None` where the method has no such form.
        options: what is set over the model's configuration, for either kind of model.
        unless_configured: what is set where the model's configuration does not say, because it was written for
            another class and this one's own default is for models of pixels, not of latents.
        for_all: whether it works with all models but those of flow matching, though diffusers lists it with none:
            adapters turn models into such as need it.
    """

    name: str
    flow: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    unless_configured: Mapping[str, Any] = field(default_factory=dict)
    for_all: bool = False


def _levels(levels: str | None) -> dict[str, bool]:
    """The options by which a scheduler spaces its noise levels in one of the ways, and in none of the others."""
    return {f"use_{name}": name == levels for name in ("karras_sigmas", "exponential_sigmas", "beta_sigmas")}


_RECIPES = {
    "DDIM": _Recipe("DDIMScheduler", unless_configured={"clip_sample": False}),
    "DPMSolverMultistep": _Recipe("DPMSolverMultistepScheduler", flow="DPMSolverMultistepScheduler"),
    "ExponentialDPM": _Recipe(
        "DPMSolverMultistepScheduler", options={**_levels("exponential_sigmas"), "use_lu_lambdas": False}
    ),
    "HeunDiscrete": _Recipe("HeunDiscreteScheduler"),
    "K_EULER": _Recipe("EulerDiscreteScheduler", flow="FlowMatchEulerDiscreteScheduler"),
    "K_EULER_ANCESTRAL": _Recipe("EulerAncestralDiscreteScheduler"),
    "K_EULER_BETA": _Recipe(
        "EulerDiscreteScheduler", flow="FlowMatchEulerDiscreteScheduler", options=_levels("beta_sigmas")
    ),
    "K_EULER_EXPONENTIAL": _Recipe(
        "EulerDiscreteScheduler", flow="FlowMatchEulerDiscreteScheduler", options=_levels("exponential_sigmas")
    ),
    "K_EULER_KARRAS": _Recipe(
        "EulerDiscreteScheduler", flow="FlowMatchEulerDiscreteScheduler", options=_levels("karras_sigmas")
    ),
    "KLMS": _Recipe("LMSDiscreteScheduler"),
    "KarrasDPM": _Recipe("DPMSolverMultistepScheduler", options={**_levels("karras_sigmas"), "use_lu_lambdas": False}),
    "LCM": _Recipe("LCMScheduler", for_all=True),
    "PNDM": _Recipe("PNDMScheduler", unless_configured={"skip_prk_steps": True}),
    "UniPC": _Recipe("UniPCMultistepScheduler", flow="UniPCMultistepScheduler"),
}

SCHEDULERS: tuple[str, ...] = tuple(_RECIPES)
"""Every name, whatever the model."""


def usable_schedulers(loaded: Scheduler | None) -> tuple[str, ...]:
    """The names that work with a pipeline whose own scheduler is `loaded`."""
    return tuple(name for name in SCHEDULERS if loaded is not None and _class_for(name, loaded))


def make_scheduler(name: str | None, loaded: Scheduler | None) -> Scheduler | None:
    """A new scheduler for one picture; `loaded` is not changed.

    Args:
        name: one of `SCHEDULERS`, or `None` for a copy of the model's own.
        loaded: the pipeline's scheduler; `None` where it has none.

    Raises:
        InputError: the pipeline cannot use that one.
    """
    if name is None:
        return copy.deepcopy(loaded)
    scheduler_class = _class_for(name, loaded) if loaded is not None and name in _RECIPES else None
    if loaded is None or scheduler_class is None:
        names = ", ".join(usable_schedulers(loaded))
        remedy = f"Use one of {names}, or leave it out" if names else "Leave it out"
        raise InputError("scheduler", f"{name!r} does not work with this model. {remedy} for the model's own.")
    scheduler = scheduler_class.from_config(loaded.config, **_options(name, loaded, scheduler_class))
    return _taking_lists(scheduler) if _is_flow(loaded) else scheduler


def _class_for(name: str, loaded: Scheduler) -> type[Scheduler] | None:
    recipe = _RECIPES[name]
    if _is_flow(loaded):
        candidate = getattr(diffusers, recipe.flow) if recipe.flow else None
        # The pipeline hands the noise levels and their shift to its scheduler; a replacement has to take them.
        return candidate if candidate and _levels_taken(type(loaded)) <= _levels_taken(candidate) else None
    candidate = getattr(diffusers, recipe.name)
    if candidate not in loaded.compatibles and not recipe.for_all:
        return None
    ends_in_pure_noise = loaded.config.get("rescale_betas_zero_snr", False)
    return candidate if not ends_in_pure_noise or "rescale_betas_zero_snr" in _parameters(candidate.__init__) else None


def _is_flow(scheduler: Scheduler) -> bool:
    return isinstance(scheduler, FlowMatchEulerDiscreteScheduler | FlowMatchHeunDiscreteScheduler) or (
        scheduler.config.get("prediction_type") == "flow_prediction" or scheduler.config.get("use_flow_sigmas", False)
    )


def _taking_lists(scheduler: Scheduler) -> Scheduler:
    """Let a scheduler take noise levels as a list, as Z-Image's pipeline has them; UniPC computes with arrays only."""
    set_timesteps = scheduler.set_timesteps

    @functools.wraps(set_timesteps)
    def set_levels(*args: Any, **kwargs: Any) -> Any:
        if isinstance(kwargs.get("sigmas"), list):
            kwargs["sigmas"] = np.asarray(kwargs["sigmas"])
        return set_timesteps(*args, **kwargs)

    scheduler.set_timesteps = set_levels
    return scheduler


def _levels_taken(scheduler_class: type[Scheduler]) -> set[str]:
    return {"sigmas", "mu"} & _parameters(scheduler_class.set_timesteps)


def _parameters(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters)


def _options(name: str, loaded: Scheduler, scheduler_class: type[Scheduler]) -> Mapping[str, Any]:
    if not _is_flow(loaded):
        recipe = _RECIPES[name]
        given = loaded.config
        return {**{key: value for key, value in recipe.unless_configured.items() if key not in given}, **recipe.options}
    shift = loaded.config.get("flow_shift", loaded.config.get("shift", 1.0))
    if scheduler_class is FlowMatchEulerDiscreteScheduler:
        return {"shift": shift, **_RECIPES[name].options}
    return {"flow_shift": shift, "use_flow_sigmas": True, "prediction_type": "flow_prediction"}
