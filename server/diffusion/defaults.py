"""A model's own defaults: those of its pipeline's call, and over them those that its model card recommends."""

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from huggingface_hub import metadata_load

from server.diffusion.files import CARD

_log = logging.getLogger(__name__)

_NAMELESS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def accepted_arguments(pipeline: DiffusionPipeline) -> Mapping[str, Any]:
    """What the pipeline's call takes by name, each with its default; `inspect.Parameter.empty` where it has none."""
    parameters = inspect.signature(pipeline.__call__).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind not in _NAMELESS}


def recommended_arguments(pipeline: DiffusionPipeline, folder: Path) -> dict[str, int | float]:
    """The numbers under `inference: parameters:` in the metadata of the model card, which the Hub's own pages use too.

    What the pipeline does not take, or what is no number, is left out and logged.
    """
    usable: dict[str, int | float] = {}
    accepted = accepted_arguments(pipeline)
    for name, value in card_parameters(folder).items():
        if name in accepted and isinstance(value, int | float) and not isinstance(value, bool):
            usable[name] = value
        else:
            _log.warning(
                "The model card recommends %s=%r, which is not used: the pipeline takes no number of that name.",
                name,
                value,
            )
    return usable


def card_parameters(folder: Path) -> dict[str, Any]:
    """What is under `inference: parameters:` in the metadata of a folder's model card; nothing where it has none.

    Metadata that cannot be read counts as none, and is logged.
    """
    card = folder / CARD
    if not card.is_file():
        return {}
    try:
        metadata = metadata_load(card)
    except (ValueError, yaml.YAMLError) as error:
        _log.warning("The metadata of %s cannot be read (%s); the pipeline's own defaults are used.", card, error)
        return {}
    # `inference` may also be true or false: whether the Hub offers to run the model.
    inference = (metadata or {}).get("inference")
    parameters = inference.get("parameters") if isinstance(inference, dict) else None
    return parameters if isinstance(parameters, dict) else {}
