"""The engine: a loaded pipeline, and pictures from it."""

import inspect
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from PIL import Image

from server.diffusion import notices
from server.diffusion.defaults import accepted_arguments, recommended_arguments
from server.diffusion.errors import ModelError, OutOfMemory, PicturesWithheld
from server.diffusion.hub import locate
from server.diffusion.pipeline import load, private_copy
from server.diffusion.progress import Progress
from server.diffusion.request import TextToImage, call_arguments
from server.diffusion.schedulers import Scheduler, make_scheduler

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """A finished picture.

    Attributes:
        image: as the pipeline made it; black where it was withheld.
        seed: makes the same picture again, alone.
        withheld: whether the model's own safety checker blacked it out.
    """

    image: Image.Image
    seed: int
    withheld: bool = False


class Engine:
    """Makes pictures with one loaded text-to-image model. It may be called from several threads.

    Args:
        model: a folder with a diffusers pipeline, or the id of one on the Hugging Face Hub.
        revision: a commit, branch or tag of a model on the Hub; `None` is what was fetched last, else its main branch.

    Attributes:
        folder: where the weights were read from.
        pipeline: what was loaded from there. What `setup` does to it, such as `pipeline.load_lora_weights(...)`, holds
            for every request; requests work with copies that share its weights.

    Raises:
        ModelError: the model cannot be found, fetched or loaded, or does not make pictures from text.
    """

    def __init__(self, model: str, revision: str | None = None) -> None:
        self.folder: Path = locate(model, revision)
        self.pipeline = load(self.folder)
        _check_task(self.pipeline)
        self._recommended = recommended_arguments(self.pipeline, self.folder)
        self._turn = threading.Lock()

    def __str__(self) -> str:
        pipeline = self.pipeline
        dtype = str(pipeline.dtype).removeprefix("torch.")
        return f"{type(pipeline).__name__} from {self.folder}, {dtype} on {pipeline.device}"

    def generate(self, request: TextToImage) -> Iterator[Picture]:
        """Make the pictures of a request, one after the other, with a progress bar on standard error.

        A picture depends on nothing but its own seed and the request, not on what is made with it or at the same time:
        the same again gives the same pixels. Stopping between two steps, by whatever exception, leaves no trace.

        Raises:
            InputError: the model cannot do what is asked for.
            PicturesWithheld: the model's safety checker blacked out every picture.
            OutOfMemory: the device has too little memory for it.
        """
        arguments = call_arguments(self.pipeline, self._recommended, request)
        loaded = getattr(self.pipeline, "scheduler", None)
        # Each picture makes its own; this one is to refuse a name now, before any work is done.
        make_scheduler(request.scheduler, loaded)
        return self._generate(request, arguments, loaded)

    def _generate(self, request: TextToImage, arguments: dict[str, Any], loaded: Scheduler | None) -> Iterator[Picture]:
        progress = Progress(request.num_outputs)
        told: set[str] = set()
        withheld = 0
        for index in range(request.num_outputs):
            # One at a time, not as a batch: sums in a batch round differently, which a seed alone could not repeat.
            pipeline = private_copy(self.pipeline, make_scheduler(request.scheduler, loaded))
            progress.attach(pipeline)
            with self._turn, notices.once(told):
                picture = _draw(pipeline, arguments, request.seed_of(index))
            progress.finish_picture()
            _report(picture, index, request)
            withheld += picture.withheld
            yield picture
        if withheld == request.num_outputs:
            raise PicturesWithheld(
                "The model's safety checker withheld every picture of this request. Try another prompt or seed."
            )


def _check_task(pipeline: DiffusionPipeline) -> None:
    accepted = accepted_arguments(pipeline)
    needed = {name for name, default in accepted.items() if default is inspect.Parameter.empty} - {"prompt"}
    foreign = needed | (accepted.keys() & {"mask_image", "num_frames"})
    if "prompt" not in accepted or foreign:
        why = f"it works on {', '.join(sorted(foreign))}" if foreign else "it takes no prompt"
        raise ModelError(
            f"{type(pipeline).__name__} does not make pictures from text alone: {why}. Choose a text-to-image model."
        )


def _draw(pipeline: Any, arguments: dict[str, Any], seed: int) -> Picture:
    # On the CPU, so that a seed means the same noise on every device.
    generator = torch.Generator("cpu").manual_seed(seed)
    devices = [pipeline.device] if pipeline.device.type == "cuda" else []
    try:
        # Some schedulers draw from the global generator whatever they are given.
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            result = pipeline(**arguments, generator=generator)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        torch.cuda.empty_cache()
        raise OutOfMemory(
            "This request needs more memory than the device has left. Ask for smaller pictures (width, height)."
        ) from error
    checked = getattr(result, "nsfw_content_detected", None)
    return Picture(result.images[0], seed, withheld=bool(checked and checked[0]))


def _report(picture: Picture, index: int, request: TextToImage) -> None:
    if picture.withheld:
        _log.warning(
            "Warning: picture %d (seed %d) is black: the model's safety checker withheld it. "
            "Try another prompt or seed.",
            index,
            picture.seed,
        )
    wanted = (request.width or picture.image.width, request.height or picture.image.height)
    if picture.image.size != wanted:
        _log.warning("Warning: the model made picture %d %dx%d, not %dx%d.", index, *picture.image.size, *wanted)
