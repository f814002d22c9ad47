"""Which files of a diffusers repository a pipeline needs, and which weights are among them."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from server.diffusion.errors import ModelError

INDEX = "model_index.json"
"""The file that makes a folder a diffusers pipeline: it names the class and its components, one subfolder each."""

CARD = "README.md"
"""The model card, which may hold the model's own defaults."""

_SETTINGS = {".json", ".txt", ".model", ".jinja", ".tiktoken"}
_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".h5", ".onnx", ".pb", ".ot", ".gguf"}

# `model.fp16-00001-of-00002.safetensors`, or as it was once written `model-00001-of-00002.fp16.safetensors`.
_SAFETENSORS = re.compile(
    r"(diffusion_pytorch_model|model)(\.(?P<variant>[^.-]+))?(?P<shard>-\d{5}-of-\d{5})?(\.(?P<legacy>[^.-]+))?\.safetensors"
)
_SHARD_INDEX = re.compile(r".+\.index(\..+)?\.json")


def read_index(folder: Path) -> dict[str, object]:
    """The contents of the `model_index.json` in a model's folder.

    Raises:
        ModelError: it is missing, or no JSON object.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text())
    except FileNotFoundError:
        raise ModelError(
            f"{folder} is no diffusers pipeline: it has no {INDEX}. Give a folder that `DiffusionPipeline."
            "save_pretrained` wrote, or the id of a model on the Hugging Face Hub that has that file."
        ) from None
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}). Fetch the model again.") from error
    if not isinstance(index, dict):
        raise ModelError(f"{path} should hold a JSON object with the pipeline's components. Fetch the model again.")
    return index


def list_files(folder: Path) -> list[str]:
    """The files of a model's folder, relative, with forward slashes."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def needed_files(
    index: Mapping[str, object],
    listing: Collection[str],
    variant: str | None = None,
    weights_of: Collection[str] | None = None,
) -> list[str]:
    """The files that the pipeline loads, and the model card: nothing of other components, formats or precisions.

    Args:
        index: the contents of `model_index.json`.
        listing: every file of the repository.
        variant: the weights wanted, such as `fp16`; `None` is those without a name. A component that does not have
            them comes with those it has without a name.
        weights_of: the components whose weights are wanted; `None` is all of them.

    Raises:
        ModelError: a component is missing, or its weights are not there as safetensors.
    """
    files = {name for name in (INDEX, CARD) if name in listing}
    for component in _components(index):
        folder = _folder_of(component, listing)
        names = _names_in(folder, listing)
        needed = [
            name for name in names if PurePosixPath(name).suffix in _SETTINGS and not _SHARD_INDEX.fullmatch(name)
        ]
        if weights_of is None or component in weights_of:
            needed += _weights(component, names, variant)
        files.update(str(folder / name) for name in needed)
    return sorted(files)


def variants(index: Mapping[str, object], listing: Collection[str]) -> set[str | None]:
    """The kinds of weights that the components come in; `None` stands for those without a name."""
    return {
        _variant_of(match)
        for component in _components(index)
        for name in _names_in(_folder_of(component, listing), listing)
        if (match := _SAFETENSORS.fullmatch(name))
    }


def default_variant(index: Mapping[str, object], listing: Collection[str]) -> str | None:
    """The weights to take where nobody says: those without a name, unless a component has only others.

    Raises:
        ModelError: the components that lack unnamed weights have no kind in common.
    """
    common: set[str | None] | None = None
    for component in _components(index):
        offered = variants({component: index[component]}, listing)
        if offered and None not in offered:
            common = offered if common is None else common & offered
    if common is None:
        return None
    if not common:
        raise ModelError("The components of this model come in weights of different kinds, and no kind fits them all.")
    return "fp16" if "fp16" in common else min(str(variant) for variant in common)


def check_folder(folder: Path) -> str | None:
    """Make sure that a folder holds a pipeline in safetensors, and return the variant of its weights, such as `fp16`.

    Raises:
        ModelError: it does not.
    """
    index, listing = read_index(folder), list_files(folder)
    variant = default_variant(index, listing)
    needed_files(index, listing, variant)
    return variant


def _components(index: Mapping[str, object]) -> list[str]:
    return [
        name
        for name, value in index.items()
        # Library and class; both null where an optional component is left out.
        if not name.startswith("_") and isinstance(value, list) and [type(item) for item in value] == [str, str]
    ]


def _folder_of(component: str, listing: Collection[str]) -> PurePosixPath:
    """Mostly the subfolder of the same name; a few repositories have a component's files at the top."""
    if _names_in(PurePosixPath(component), listing):
        return PurePosixPath(component)
    if any(name.endswith(".json") for name in _names_in(PurePosixPath(), listing) if name != INDEX):
        return PurePosixPath()
    raise ModelError(f"The model has no files of its {component!r}, which {INDEX} names. Fetch the model again.")


def _names_in(folder: PurePosixPath, listing: Collection[str]) -> list[str]:
    paths = map(PurePosixPath, listing)
    return sorted(path.name for path in paths if path.parent == folder)


def _weights(component: str, names: list[str], variant: str | None) -> list[str]:
    matches = [match for name in names if (match := _SAFETENSORS.fullmatch(name))]
    wanted = [match for match in matches if _variant_of(match) == variant]
    if not wanted:
        variant = None
        wanted = [match for match in matches if _variant_of(match) is None]
    if not wanted:
        present = [name for name in names if PurePosixPath(name).suffix in _WEIGHTS]
        if not present:
            return []
        raise ModelError(
            f"The weights of {component!r} are not there as safetensors, only as {', '.join(present)}. Other formats "
            "can run code when they are read, so they are never loaded. Convert them: load the pipeline with diffusers "
            "and write it with `save_pretrained(folder, safe_serialization=True)`."
        )
    whole = [match.string for match in wanted if match["shard"] is None]
    if whole:
        return whole
    indices = [name for name in names if _SHARD_INDEX.fullmatch(name) and ".safetensors." in name]
    named = [name for name in indices if variant in name.split(".")] if variant else []
    unnamed = [name for name in indices if name.endswith(".safetensors.index.json")]
    return [match.string for match in wanted] + (named or unnamed)


def _variant_of(match: re.Match[str]) -> str | None:
    variant: str | None = match["variant"] or match["legacy"]
    return variant
