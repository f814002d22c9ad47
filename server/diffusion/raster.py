"""Finished pictures on their way from the device: reduced to bytes there, fetched and unpacked elsewhere."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, overload

import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from PIL import Image


class Raster(Sequence[Image.Image]):
    """The pictures of a batch, which become pictures of Pillow when they are looked at.

    Making one starts the transfer and does not wait for it; looking at it may be done in any thread, and waits.

    Args:
        pixels: of shape (pictures, channels, height, width), from 0 to 1.
    """

    def __init__(self, pixels: torch.Tensor) -> None:
        # As diffusers rounds, but on the device, where it takes a tenth of the time, and a quarter of the transfer.
        whole = (pixels.float() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        self._bytes = whole.to("cpu", non_blocking=True)
        self._transferred: torch.cuda.Event | None = None
        if whole.is_cuda:
            self._transferred = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._transferred.record()
        self._pictures: list[Image.Image] | None = None

    def __len__(self) -> int:
        return len(self._bytes)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image.Image]: ...
    def __getitem__(self, index: int | slice) -> Image.Image | list[Image.Image]:
        if self._pictures is None:
            if self._transferred:
                self._transferred.synchronize()
            self._pictures = [_picture(pixels.numpy()) for pixels in self._bytes]
        return self._pictures[index]


def deliver_as_raster(pipeline: DiffusionPipeline) -> None:
    """Let a pipeline, which belongs to one request, return a `Raster` where it would return a list of pictures.

    Those that make their pictures in a way of their own, or look at them (a safety checker does), go on as they are.
    """
    processor: Any = getattr(pipeline, "image_processor", None)
    if getattr(pipeline, "safety_checker", None) is not None or not isinstance(processor, VaeImageProcessor):
        return
    if type(processor).postprocess is not VaeImageProcessor.postprocess:
        return
    processor = copy.copy(processor)
    postprocess = processor.postprocess

    def deliver(image: Any, output_type: str = "pil", do_denormalize: list[bool] | None = None) -> Any:
        if output_type != "pil" or not isinstance(image, torch.Tensor):
            return postprocess(image, output_type, do_denormalize)
        return Raster(postprocess(image, "pt", do_denormalize))

    processor.postprocess = deliver
    pipeline.image_processor = processor


def _picture(pixels: Any) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
