"""Where a model is: in a folder, on the Hugging Face Hub, or in a single file, which may be anywhere on the web."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from huggingface_hub import constants

from server.diffusion import hub
from server.diffusion import model_downloads as downloads
from server.diffusion.errors import ModelError
from server.diffusion.hub_errors import download_command

_log = logging.getLogger(__name__)

_FILE_ON_HUB = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w.-]+)/(?P<file>[^?#]+\.\w+)")
_PAGE_ON_HUB = re.compile(r"/(?P<repo>[\w.-]+/[\w.-]+)/(?:blob|resolve)/(?P<revision>[^/]+)/(?P<file>.+)")


@dataclass(frozen=True)
class HubFile:
    """A file in a model's repository on the Hub.

    Attributes:
        repo: the model's id.
        file: its path there.
        revision: a commit, branch or tag; `None` is the main branch.
    """

    repo: str
    file: str
    revision: str | None = None


def locate(model: str, revision: str | None = None) -> Path:
    """A model on this disk: the folder of a diffusers pipeline, or a `.safetensors` file that holds a whole one.

    What is not there yet is fetched first.

    Args:
        model: a folder or a `.safetensors` file; the id of a model on the Hugging Face Hub, `owner/name`, or a file of
            it, `owner/name/file.safetensors`; or a file's URL, on the Hub, on CivitAI or anywhere.
        revision: a commit, branch or tag of a model on the Hub; `None` is what was fetched last, else its main branch.

    Raises:
        ModelError: it is neither on the disk nor to be had.
    """
    match _read(model, revision):
        case Path() as path:
            if revision:
                _log.warning("Warning: the revision %s has no effect, because the model is on this disk.", revision)
            return path
        case HubFile(repo, file, at):
            return hub.locate_file(repo, file, at)
        case downloads.Link() as link:
            if present := downloads.kept(link.url, web_cache()):
                return present
            if constants.HF_HUB_OFFLINE:
                raise ModelError(
                    f"{downloads.public(model)} is not in the cache ({web_cache()}), and HF_HUB_OFFLINE forbids to "
                    f"fetch it. Run `{download_command(downloads.public(model))}`, with the whole URL, where there "
                    "is network."
                )
            return downloads.download(link.url, web_cache())
        case None:
            return hub.locate(model, revision)


def download(model: str, revision: str | None = None, variant: str | None = None) -> Path:
    """Fetch a model, as `locate` would, but for one on the Hub the state that `revision` has there now.

    Args:
        model: as in `locate`.
        revision: a commit, branch or tag of a model on the Hub; `None` is the main branch.
        variant: which weights of a diffusers pipeline, such as `fp16`; `None` is those without a name.

    Raises:
        ModelError: it cannot be had.
    """
    source = _read(model, revision)
    if variant and source is not None:
        raise ModelError(f"{model} has no variants, since it is a single file or on this disk. Leave {variant} out.")
    match source:
        case Path() as path:
            return path
        case HubFile(repo, file, at):
            return hub.download_file(repo, file, at)
        case downloads.Link() as link:
            return downloads.download(link.url, web_cache())
        case None:
            return hub.download(model, revision, variant)


def web_cache() -> Path:
    """The folder for what comes from elsewhere than the Hub; beside the Hub's own cache, so that one volume has all."""
    return Path(constants.HF_HOME) / "darkroom"


def _read(model: str, revision: str | None) -> Path | HubFile | downloads.Link | None:
    """What `model` names; `None` is a model on the Hub, or nothing at all."""
    if downloads.is_url(model):
        return _read_url(model, revision)
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        downloads.refuse_pickle(path.name)
        if path.suffix != downloads.SUFFIX:
            raise ModelError(f"{path} is no {downloads.SUFFIX} file. Give one, or a folder with a diffusers pipeline.")
        return path.absolute()
    if (found := _FILE_ON_HUB.fullmatch(model)) and not model.startswith((".", "/", "~")):
        downloads.refuse_pickle(found["file"])
        if found["file"].endswith(downloads.SUFFIX):
            return HubFile(found["repo"], found["file"], revision)
    if path.suffix == downloads.SUFFIX:
        raise ModelError(
            f"There is no file {path.absolute()}. Set MODEL_ID to a file that is there, or to one on the Hub "
            f"(owner/name/file{downloads.SUFFIX}) or elsewhere (https://...)."
        )
    return None


def _read_url(url: str, revision: str | None) -> HubFile | downloads.Link:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ModelError(
            f"{url} is no URL: {error}. Give one such as https://example.com/model.safetensors."
        ) from error
    page = _PAGE_ON_HUB.fullmatch(unquote(parts.path))
    if page and parts.netloc in {urlsplit(constants.ENDPOINT).netloc, "huggingface.co", "hf.co"}:
        downloads.refuse_pickle(page["file"])
        return HubFile(page["repo"], page["file"], revision or page["revision"])
    if revision:
        raise ModelError(
            f"{downloads.public(url)} has no revision {revision!r}: only models on the Hub have. Leave it out."
        )
    downloads.refuse_pickle(parts.path)
    return downloads.Link(url)
