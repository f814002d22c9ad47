"""The forms of a loaded model: pipelines of diffusers that share its weights, each for another task."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, get_origin

from diffusers import (
    ChromaImg2ImgPipeline,
    ChromaPipeline,
    Flux2KleinInpaintPipeline,
    Flux2KleinPipeline,
    FluxKontextInpaintPipeline,
    FluxKontextPipeline,
    KolorsImg2ImgPipeline,
    KolorsPipeline,
    SanaSprintImg2ImgPipeline,
    SanaSprintPipeline,
)
from diffusers.pipelines import auto_pipeline
from diffusers.pipelines.auto_pipeline import (
    AutoPipelineForImage2Image,
    AutoPipelineForInpainting,
    AutoPipelineForText2Image,
)
from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from server.diffusion.defaults import accepted_arguments
from server.diffusion.errors import ModelError


class Task(StrEnum):
    """What a request wants done."""

    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_TO_IMAGE = "image-to-image"
    """A picture is changed as far as the strength says, whatever is in it."""
    INPAINTING = "inpainting"
    """Of a picture the masked part is painted anew."""
    EDITING = "editing"
    """The prompt says what is to become of a picture, or of several."""


_AUTOMATIC: Mapping[Task, tuple[Any, Mapping[str, type[object]]]] = {
    Task.TEXT_TO_IMAGE: (AutoPipelineForText2Image, auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING),
    Task.IMAGE_TO_IMAGE: (AutoPipelineForImage2Image, auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING),
    Task.INPAINTING: (AutoPipelineForInpainting, auto_pipeline.AUTO_INPAINT_PIPELINES_MAPPING),
}

_UNKNOWN_TO_AUTOMATIC: Mapping[type[object], Mapping[Task, Any]] = {
    # That for inpainting is left out: it asks Chroma's transformer for a setting that it does not have.
    ChromaPipeline: {Task.IMAGE_TO_IMAGE: ChromaImg2ImgPipeline},
    FluxKontextPipeline: {Task.INPAINTING: FluxKontextInpaintPipeline},
    Flux2KleinPipeline: {Task.INPAINTING: Flux2KleinInpaintPipeline},
    KolorsPipeline: {Task.IMAGE_TO_IMAGE: KolorsImg2ImgPipeline},
    SanaSprintPipeline: {Task.IMAGE_TO_IMAGE: SanaSprintImg2ImgPipeline},
}
"""Forms that diffusers has, and its automatic pipelines do not find."""

_SEVERAL_REFERENCES = {"Flux2KleinPipeline", "Flux2Pipeline", "QwenImageEditPlusPipeline"}
"""The pipelines that take a list of pictures as parts of one request; to others it is one of several requests."""

_OF_OTHER_WORK = {"audio_end_in_s", "audio_length_in_s", "frame_size", "num_frames", "video", "video_length"}
"""What pipelines are called with that make sounds, films or solids."""

_OF_OTHER_KINDS = re.compile("Audio|Music|AceStep|Video|LLaDA|Gemma|Prior(Emb2Emb|Redux)?Pipeline$")
"""The names of further pipelines that make no pictures, and are called as if they did."""

_INPAINTS_BY_CHANNELS = ("KandinskyV22", "KandinskyPipeline", "KandinskyCombined", "KandinskyImg2Img")
"""What the names of pipelines begin with whose forms for inpainting need weights that were trained for it."""

_WITH_MASK = 9
"""The channels of such weights: the latents, those of what is kept, and the mask."""

_SHARED_BY_A_FAMILY = {"block_out_channels", "cross_attention_dim", "joint_attention_dim", "pooled_projection_dim"}
"""What the configuration of a ControlNet has in common with that of the model that it was made for."""

_CHOOSE_ANOTHER = "Choose one that was made for this model, or none."

_PICTURES = {"image", "mask_image", "control_image"}


class Forms:
    """What a loaded model can do, and the pipelines that do it.

    Args:
        loaded: the pipeline.
        controlnet: a ControlNet of diffusers for it, on its device.

    Attributes:
        needs_control: whether it was trained to draw after a picture as ControlNets take it, and does nothing without.

    Raises:
        ModelError: it makes no pictures, or needs what no request has; or there is no form for the ControlNet.
    """

    def __init__(self, loaded: DiffusionPipeline, controlnet: Any = None) -> None:
        controlnet = controlnet if controlnet is not None else getattr(loaded, "controlnet", None)
        # One that was saved with its ControlNet needs a picture for it; without, it is another class.
        own = frozenset[Task]() if getattr(loaded, "controlnet", None) is not None else _tasks_of(loaded)
        self._plain: dict[Task, DiffusionPipeline] = dict.fromkeys(own, loaded)
        for task in set(Task) & _AUTOMATIC.keys() - own:
            if _may_become(loaded, own, task) and (form := _derived(task, loaded, controlnet=None)):
                self._plain[task] = form
        self._controlled: dict[Task, DiffusionPipeline] = {}
        accepted = accepted_arguments(loaded)
        self.needs_control = "control_image" in accepted and not (hasattr(loaded, "controlnet") and self._plain)
        if self.needs_control:
            # One that was saved with its ControlNet, and of which diffusers has no form without.
            self._plain = self._plain or dict.fromkeys(_tasks_of(loaded), loaded)
            self._controlled = self._plain
        elif controlnet is not None:
            _check_fits(controlnet, loaded)
            for task in self._plain.keys() & _AUTOMATIC.keys():
                form = _derived(task, self._plain[task], controlnet=controlnet)
                if form and isinstance(controlnet, _controlnets_of(form)):
                    self._controlled[task] = form
            if not self._controlled:
                raise ModelError(
                    f"{type(loaded).__name__} has no form in diffusers that takes the ControlNet "
                    f"{type(controlnet).__name__}. {_CHOOSE_ANOTHER}"
                )

    @property
    def tasks(self) -> frozenset[Task]:
        """What can be done."""
        return frozenset(self._plain)

    @property
    def controlled_tasks(self) -> frozenset[Task]:
        """What can be done with a picture for the ControlNet, or for the model itself; nothing where none takes one."""
        return frozenset(self._controlled)

    @property
    def most_references(self) -> int:
        """How many pictures a request may give to be edited, `image` among them."""
        if Task.EDITING not in self._plain:
            return 0
        return 8 if type(self._plain[Task.EDITING]).__name__ in _SEVERAL_REFERENCES else 1

    @property
    def main(self) -> DiffusionPipeline:
        """The form that says most about the model: that of text where there is one."""
        return next(self._plain[task] for task in Task if task in self._plain)

    def get(self, task: Task, controlled: bool = False) -> DiffusionPipeline | None:
        """The pipeline for a task, with a ControlNet or without; `None` where there is none."""
        return (self._controlled if controlled else self._plain).get(task)


def _check_fits(controlnet: Any, loaded: DiffusionPipeline) -> None:
    network = getattr(loaded, "unet", None) or getattr(loaded, "transformer", None)
    own, its = getattr(network, "config", {}), getattr(controlnet, "config", {})
    for name in _SHARED_BY_A_FAMILY & own.keys() & its.keys():
        one, other = own[name], its[name]
        # Some ControlNets have no text for their model's blocks to look at.
        if other is not None and _as_list(one) != _as_list(other):
            raise ModelError(
                f"The ControlNet {type(controlnet).__name__} does not fit {type(loaded).__name__}: its {name} is "
                f"{other}, not {one}. {_CHOOSE_ANOTHER}"
            )


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _controlnets_of(form: DiffusionPipeline) -> tuple[type[object], ...]:
    """The classes of ControlNets that a pipeline takes; none where it takes none."""
    form_class: Any = type(form)
    kinds = form_class._get_signature_types().get("controlnet", ())
    return tuple(kind for kind in kinds if inspect.isclass(kind) and not get_origin(kind))


def _tasks_of(pipeline: DiffusionPipeline) -> frozenset[Task]:
    accepted = accepted_arguments(pipeline)
    needed = {name for name, default in accepted.items() if default is inspect.Parameter.empty}
    foreign = needed - {"prompt"} - _PICTURES | (accepted.keys() & _OF_OTHER_WORK)
    is_other = _OF_OTHER_KINDS.search(type(pipeline).__name__)
    if "prompt" not in accepted or foreign or is_other:
        why = f"it works on {', '.join(sorted(foreign))}" if foreign else "it takes no prompt"
        why = "what it makes is something else" if is_other and not foreign else why
        raise ModelError(
            f"{type(pipeline).__name__} does not make pictures from text, or from text and pictures, alone: {why}. "
            "Choose a model that does."
        )
    if "mask_image" in accepted:
        return frozenset({Task.INPAINTING})
    if "image" not in accepted:
        return frozenset({Task.TEXT_TO_IMAGE})
    if "strength" in accepted:
        return frozenset({Task.IMAGE_TO_IMAGE})
    from_text = type(pipeline) in _AUTOMATIC[Task.TEXT_TO_IMAGE][1].values()
    return frozenset({Task.TEXT_TO_IMAGE, Task.EDITING} if from_text else {Task.EDITING})


def _may_become(loaded: DiffusionPipeline, own: frozenset[Task], task: Task) -> bool:
    """Whether a form for another task would be one of the same model."""
    pipeline_config: Any = loaded.config
    if Task.EDITING in own:
        return task is Task.INPAINTING
    if task is Task.TEXT_TO_IMAGE and pipeline_config.get("requires_aesthetics_score"):
        # Refiners of Stable Diffusion XL know nothing but pictures.
        return False
    network = getattr(loaded, "unet", None) or getattr(loaded, "transformer", None)
    channels = getattr(network, "config", {}).get("in_channels")
    if task is Task.INPAINTING and type(loaded).__name__.startswith(_INPAINTS_BY_CHANNELS):
        return channels == _WITH_MASK
    if Task.INPAINTING in own:
        # One that was trained for it takes the mask, too, as further channels, which other forms do not have.
        latents = getattr(getattr(loaded, "vae", None), "config", {}).get("latent_channels")
        return channels in (latents, latents and 4 * latents)
    return True


def _derived(task: Task, pipeline: DiffusionPipeline, controlnet: Any) -> DiffusionPipeline | None:
    if controlnet is None and (form_class := _UNKNOWN_TO_AUTOMATIC.get(type(pipeline), {}).get(task)):
        taken = inspect.signature(form_class.__init__).parameters
        parts = {**pipeline.config, **pipeline.components}
        made: DiffusionPipeline = form_class(**{name: part for name, part in parts.items() if name in taken})
        return made
    automatic, mapping = _AUTOMATIC[task]
    try:
        form: DiffusionPipeline = automatic.from_pipe(pipeline, controlnet=controlnet)
    except ValueError:
        # Of all pipelines the mapping knows those that have such a form.
        return None
    return form if type(form) in mapping.values() else None
