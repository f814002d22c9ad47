"""A LoRA's file in a repository of the Hugging Face Hub."""

from __future__ import annotations

import httpx
import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from server.diffusion.downloads import FetchError, Unreachable
from server.diffusion.lora_sources import HubFile, choose_file


def ask_hub(source: HubFile) -> tuple[str, str | None, int | None]:
    """The URL of a file, its ETag and its size in bytes. It waits for the Hub.

    Raises:
        FetchError: there is no such file, or it may not be had; `Unreachable` where nobody answered.
        ValueError: it is not clear which file it is.
    """
    repository, path = source.repository, source.path
    try:
        if not path.endswith(".safetensors"):
            files = huggingface_hub.HfApi().list_repo_files(repository, revision=source.revision)
            path = choose_file(files, path)
        url = huggingface_hub.hf_hub_url(repository, path, revision=source.revision)
        metadata = huggingface_hub.get_hf_file_metadata(url)
    except (EntryNotFoundError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, httpx.HTTPError) as error:
        raise _explain(source, path, error) from error
    return url, metadata.etag, metadata.size


def _explain(source: HubFile, path: str, error: Exception) -> FetchError:
    repository = source.repository
    match error:
        case GatedRepoError():
            return FetchError(
                f"{repository} is open only to those who accepted its licence at {constants.ENDPOINT}/{repository}; "
                "the operator of this server has to set HF_TOKEN to a token of such an account"
            )
        case RepositoryNotFoundError():
            return FetchError(
                f"the Hub has no model {repository!r}; check the spelling. For a private one the operator of this "
                "server has to set HF_TOKEN"
            )
        case RevisionNotFoundError():
            return FetchError(f"{repository} has no revision {source.revision!r}; give a commit, branch or tag")
        case LocalEntryNotFoundError() | OfflineModeIsEnabled():
            return Unreachable("the Hub is not asked, for this server runs offline (HF_HUB_OFFLINE)")
        case EntryNotFoundError():
            return FetchError(f"{repository} has no file {path!r}; look at {constants.ENDPOINT}/{repository}/tree/main")
        case HFValidationError():
            return FetchError(f"{repository!r} cannot be the name of a model; give owner/repo")
        case HfHubHTTPError() if (status := error.response.status_code) < 500 and status != 429:
            return FetchError(f"the Hub answered with status {status}; check the spelling")
    return Unreachable(f"the Hub cannot be reached at {constants.ENDPOINT} ({type(error).__name__}); try again later")
