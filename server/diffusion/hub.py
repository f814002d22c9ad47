"""Where a model is: in a folder, or in the local cache of the Hugging Face Hub."""

import glob
import logging
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

import huggingface_hub
from huggingface_hub import RepoFile, constants
from huggingface_hub.errors import CachedRepoTreeNotFoundError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]

from server.diffusion.digests import verify
from server.diffusion.errors import ModelError
from server.diffusion.files import INDEX, default_variant, list_files, needed_files, read_index, variants
from server.diffusion.hub_errors import download_command, explaining

_log = logging.getLogger(__name__)

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")

# The cache keeps names of commits as git does, in `refs/`; this one is the commit that was fetched last, so that the
# server loads the same one, whatever became of the branch on the Hub.
_FETCHED = "darkroom"

_LARGE = constants.DOWNLOAD_CHUNK_SIZE


def locate(model: str, revision: str | None = None) -> Path:
    """The folder of a model on this disk. A model of the Hub that is not in the cache yet is fetched first.

    Args:
        model: a folder, or an id on the Hugging Face Hub.
        revision: a commit, branch or tag of a model on the Hub; `None` is what was fetched last, else its main branch.

    Raises:
        ModelError: it is neither on the disk nor to be had from the Hub.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision:
            _log.warning("Warning: the revision %s has no effect, because the model is a folder: %s.", revision, folder)
        return folder
    if not _HUB_ID.fullmatch(model) or model.startswith("."):
        raise ModelError(
            f"There is no folder {folder.absolute()}. Set MODEL_ID to a folder that holds a diffusers pipeline, or to "
            "the id of a model on the Hugging Face Hub, such as owner/name."
        )
    revision = revision or _fetched_commit(model)
    return _find_in_cache(model, revision or constants.DEFAULT_REVISION) or download(model, revision)


def download(model: str, revision: str | None = None, variant: str | None = None) -> Path:
    """Fetch what a pipeline needs from the Hub into the local cache, resuming what an earlier run left.

    Args:
        model: the id on the Hugging Face Hub.
        revision: a commit, branch or tag; `None` is the main branch.
        variant: which weights, such as `fp16`; `None` is those without a name, or the only ones that there are.

    Returns:
        The snapshot's folder, named by the commit.

    Raises:
        ModelError: the model cannot be had, or is no pipeline in safetensors.
    """

    def choose(index: Mapping[str, object], files: Collection[str]) -> list[str]:
        wanted = default_variant(index, files) if variant is None else variant
        if variant is not None and variant not in (offered := variants(index, files)):
            kinds = ", ".join(sorted(kind or "(no name)" for kind in offered))
            raise ModelError(f"{model} has no weights of the variant {variant!r}; it has: {kinds}.")
        return needed_files(index, files, wanted)

    return _download(model, revision, choose, download_command(model, revision, variant))


def locate_settings(model: str, weights_of: Collection[str], command: str) -> Path:
    """The folder of a model of the Hub with all but the weights, which are fetched first where they are not there yet.

    Args:
        model: the id on the Hugging Face Hub.
        weights_of: the components whose weights are needed all the same.
        command: what fetches it beforehand, for the message of an error.

    Raises:
        ModelError: it is neither on the disk nor to be had from the Hub.
    """

    def choose(index: Mapping[str, object], files: Collection[str]) -> list[str]:
        return needed_files(index, files, default_variant(index, files) if weights_of else None, weights_of)

    revision = _fetched_commit(model)
    index_file = huggingface_hub.try_to_load_from_cache(model, INDEX, revision=revision)
    if isinstance(index_file, str):
        folder = Path(index_file).parent
        files = _recall_files(model, folder.name) or list_files(folder)
        with suppress(ModelError):
            if all((folder / name).is_file() for name in choose(read_index(folder), files)):
                return folder
    return _download(model, revision, choose, command)


def locate_file(model: str, file: str, revision: str | None = None) -> Path:
    """A file of a model's repository on this disk, fetched first where it is not there yet.

    Raises:
        ModelError: it is neither on the disk nor to be had from the Hub.
    """
    kept = huggingface_hub.try_to_load_from_cache(model, file, revision=revision)
    return Path(kept) if isinstance(kept, str) else download_file(model, file, revision)


def download_file(model: str, file: str, revision: str | None = None) -> Path:
    """Fetch one file of a model's repository into the local cache, resuming what an earlier run left.

    Raises:
        ModelError: it cannot be had.
    """
    with explaining(model, revision, download_command(f"{model}/{file}", revision), file):
        # The size and digest of a file come with its commit; the branch may move meanwhile.
        url = huggingface_hub.hf_hub_url(model, file, revision=revision)
        metadata = huggingface_hub.get_hf_file_metadata(url)
        commit = metadata.commit_hash
        known = commit is not None and (_repository(model) / "snapshots" / commit / file).exists()
        if commit and not known and _is_large(metadata.size or 0):
            _fetch_large(model, commit, file)
        fetched = Path(huggingface_hub.hf_hub_download(model, file, revision=revision))
        if not known and not _is_large(metadata.size or 0):
            _verify_small([fetched])
    return fetched


def _download(
    model: str,
    revision: str | None,
    choose: Callable[[Mapping[str, object], Collection[str]], list[str]],
    command: str,
) -> Path:
    """Fetch the files that `choose` takes of those that there are, and remember the commit."""
    with explaining(model, revision, command, INDEX):
        folder = Path(huggingface_hub.hf_hub_download(model, INDEX, revision=revision)).parent
        files = _list_repository(model, folder.name)
        names = choose(read_index(folder), files)
        fresh = [name for name in names if not (folder / name).exists()]
        small = [name for name in fresh if not _is_large(files[name])]
        for name in fresh:
            if _is_large(files[name]):
                _fetch_large(model, folder.name, name)
        # The rest, and the snapshot's links to all of it.
        patterns = [glob.escape(name) for name in names]
        huggingface_hub.snapshot_download(model, revision=folder.name, allow_patterns=patterns)
        _verify_small([folder / name for name in small])
    reference = _repository(model) / "refs" / _FETCHED
    reference.parent.mkdir(exist_ok=True)
    reference.write_text(folder.name)
    return folder


def _is_large(size: int) -> bool:
    return _LARGE <= size <= constants.MAX_HTTP_DOWNLOAD_SIZE


def _verify_small(paths: Collection[Path]) -> None:
    for path in paths:
        # The cache calls contents by their digests, where the system has links; else there is nothing to go by.
        if path.is_symlink():
            try:
                verify(path.resolve(), path.resolve().name, path.name)
            except ModelError:
                path.unlink()
                raise


def _repository(model: str) -> Path:
    return Path(constants.HF_HUB_CACHE) / constants.REPO_ID_SEPARATOR.join(["models", *model.split("/")])


def _fetched_commit(model: str) -> str | None:
    reference = _repository(model) / "refs" / _FETCHED
    return reference.read_text().strip() if reference.is_file() else None


def _find_in_cache(model: str, revision: str) -> Path | None:
    """The snapshot's folder, where some variant is there as a whole."""
    index_file = huggingface_hub.try_to_load_from_cache(model, INDEX, revision=revision)
    if not isinstance(index_file, str):
        return None
    folder = Path(index_file).parent
    # Where another program filled the cache, only that one knows whether all is there: loading will tell.
    index, files = read_index(folder), _recall_files(model, folder.name) or list_files(folder)
    for variant in (default_variant(index, files), *variants(index, files)):
        with suppress(ModelError):
            if all((folder / name).is_file() for name in needed_files(index, files, variant)):
                return folder
    return None


def _list_repository(model: str, commit: str) -> dict[str, int]:
    """The size of each file, in bytes."""
    # A commit never changes, so what the cache remembers of it saves the question.
    if files := _recall_files(model, commit):
        return files
    entries = huggingface_hub.HfApi().list_repo_tree(model, recursive=True, revision=commit)
    return {entry.path: entry.size for entry in entries if isinstance(entry, RepoFile)}


def _recall_files(model: str, commit: str) -> dict[str, int] | None:
    try:
        return {file.path: file.size for file in huggingface_hub.get_cached_repo_tree(model, revision=commit)}
    except CachedRepoTreeNotFoundError:
        return None


def _fetch_large(model: str, commit: str, name: str) -> None:
    """Put a file where the cache keeps contents. The library begins a file that was cut off anew; here it goes on."""
    url = huggingface_hub.hf_hub_url(model, name, revision=commit)
    metadata = huggingface_hub.get_hf_file_metadata(url)
    if metadata.etag is None:
        return
    blob = _repository(model) / "blobs" / metadata.etag
    part = blob.with_name(f"{blob.name}.part")
    blob.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(part.with_suffix(".lock")):
        if blob.exists():
            return
        part.touch()
        with part.open("r+b") as file:
            start = file.seek(0, 2)
            http_get(
                url,
                file,
                resume_size=start,
                headers=build_hf_headers(),
                expected_size=metadata.size,
                displayed_filename=name,
            )
        verify(part, metadata.etag, name)
        part.replace(blob)
