"""Small pictures of what a request has become so far, straight from its latents."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

import torch
from torch.nn.functional import interpolate

from server.diffusion import notices
from server.diffusion.errors import first_line
from server.diffusion.raster import Raster
from server.diffusion.warnings import WarningCode

Deliver = Callable[[Raster], None]
"""Takes a preview, a batch of one, on the thread that owns the device."""

_BLOCKS, _BLOCK = 8, 4
"""The colours that a model's latents are learnt from: so many squares a side, each of so many latents a side."""


class Previews:
    """Turns latents into colours by a linear map, which costs next to nothing.

    How an autoencoder writes colour into its latents is nearly linear. The map is found by least squares, from what the
    model's own encoder makes of squares of random colours, when the first preview is wanted.
    """

    def __init__(self) -> None:
        self._linear: torch.Tensor | None = None

    def attach(
        self, arguments: dict[str, Any], accepted: Container[str], every: int, deliver: Deliver
    ) -> dict[str, Any]:
        """The arguments of a pipeline's call with which it makes previews, too.

        Args:
            arguments: those it is called with.
            accepted: the names that it takes. One that tells nothing of its steps makes no previews, which is said.
            every: after how many steps each, 1 or more.
            deliver: takes them.
        """
        if "callback_on_step_end" not in accepted:
            message = "this model's pipeline does not show its steps, so there are no previews."
            notices.tell(notices.Notice(message, WarningCode.IGNORED, "preview_interval"))
            return arguments

        def on_step_end(pipeline: Any, step: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            nonlocal every
            if every and (step + 1) % every == 0:
                try:
                    made = self._make(pipeline, tensors["latents"], arguments)
                except Exception as error:  # latents may be written in ways that nobody has thought of yet
                    every = 0
                    message = f"what this model works on cannot be shown ({first_line(error)}): there are no previews."
                    notices.tell(notices.Notice(message, WarningCode.IGNORED, "preview_interval"))
                else:
                    deliver(made)
            return tensors

        return {**arguments, "callback_on_step_end": on_step_end}

    def _make(self, pipeline: Any, latents: torch.Tensor, arguments: Mapping[str, Any]) -> Raster:
        if self._linear is None:
            self._linear = _fit(_autoencoder(pipeline), pipeline._execution_device)
        return Raster(_colours(_unpacked(pipeline, latents, arguments)[:1], self._linear))


def _autoencoder(pipeline: Any) -> Any:
    # Kandinsky's is called so.
    return pipeline.movq if hasattr(pipeline, "movq") else pipeline.vae


def _fit(vae: Any, device: torch.device) -> torch.Tensor:
    """The map from latents as pipelines have them to RGB, from 0 to 1, of shape (channels + 1, 3)."""
    side = _BLOCKS * _BLOCK
    colours = torch.rand(1, 3, _BLOCKS, _BLOCKS, generator=torch.Generator().manual_seed(0))
    small = interpolate(colours, size=(side, side), mode="nearest")
    # How many pixels a latent spans is found out, for autoencoders write it in many ways.
    probe = _encode(vae, torch.zeros(1, 3, 64, 64, device=device))
    factor = 64 // probe.shape[-1]
    # Not where its weights are: those may be there by turns.
    latents = _encode(vae, interpolate(small * 2 - 1, scale_factor=factor, mode="nearest").to(device))
    points = _with_one(latents)
    linear: torch.Tensor = torch.linalg.lstsq(points, small.permute(0, 2, 3, 1).reshape(-1, 3)).solution
    return linear


def _encode(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    pixels = pixels.to(next(vae.parameters()).dtype)
    is_video = "temperal_downsample" in vae.config
    encoded = vae.encode(pixels.unsqueeze(2) if is_video else pixels)
    if hasattr(encoded, "latents"):
        # Of quantized ones pipelines take these as they are.
        latents: torch.Tensor = encoded.latents
        return latents.float().cpu()
    latents = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latent
    return _as_pipelines_do(vae, latents.squeeze(2) if is_video else latents).float().cpu()


def _as_pipelines_do(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    config = vae.config
    if "latents_mean" in config and config["latents_mean"] is not None:
        mean, std = torch.tensor([config["latents_mean"], config["latents_std"]]).to(latents).view(2, 1, -1, 1, 1)
        return torch.div(latents - mean, std)
    shift, scale = config.get("shift_factor") or 0.0, config.get("scaling_factor") or 1.0
    return torch.mul(latents - shift, scale)


def _unpacked(pipeline: Any, latents: torch.Tensor, arguments: Mapping[str, Any]) -> torch.Tensor:
    if latents.ndim == 3:
        factor = pipeline.vae_scale_factor
        own = pipeline.default_sample_size * factor
        height, width = arguments.get("height") or own, arguments.get("width") or own
        latents = pipeline._unpack_latents(latents, height, width, factor)
    return latents.squeeze(2) if latents.ndim == 5 else latents


def _colours(latents: torch.Tensor, linear: torch.Tensor) -> torch.Tensor:
    _, _, height, width = latents.shape
    colours = _with_one(latents.float()) @ linear.to(latents.device)
    return colours.reshape(1, height, width, 3).permute(0, 3, 1, 2).clamp(0, 1)


def _with_one(latents: torch.Tensor) -> torch.Tensor:
    points = latents.permute(0, 2, 3, 1).flatten(0, 2)
    return torch.cat([points, torch.ones_like(points[:, :1])], dim=1)
