"""What went wrong with the Hugging Face Hub, in words that say what can be done about it."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from server.diffusion.errors import ModelError
from server.diffusion.files import INDEX


def download_command(model: str, revision: str | None = None, variant: str | None = None) -> str:
    """The command that fetches a model beforehand."""
    options = {"--revision": revision, "--variant": variant}
    parts = [model, *(part for name, value in options.items() if value for part in (name, value))]
    return f"script/download-weights {shlex.join(parts)}"


@contextmanager
def explaining(model: str, revision: str | None, command: str, file: str) -> Iterator[None]:
    """Say of what goes wrong within what can be done about it.

    Args:
        model, revision: what is fetched.
        command: what fetches it beforehand.
        file: what of it is fetched first.

    Raises:
        ModelError: something went wrong.
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise _explain(model, revision, command, file, error) from error


def _explain(model: str, revision: str | None, command: str, file: str, error: Exception) -> ModelError:
    match error:
        case GatedRepoError():
            return ModelError(
                f"{model} is open only to those who accepted its licence. Accept it at "
                f"{constants.ENDPOINT}/{model}, then set HF_TOKEN to an access token of that account."
            )
        case RepositoryNotFoundError():
            return ModelError(
                f"{model!r} is neither a folder here (in {Path.cwd()}) nor a model on the Hub at {constants.ENDPOINT}. "
                "Check the spelling; for a private model set HF_TOKEN."
            )
        case RevisionNotFoundError():
            return ModelError(f"{model} has no revision {revision!r}. Give a commit, branch or tag of that model.")
        case RemoteEntryNotFoundError() if file != INDEX:
            return ModelError(
                f"{model} on the Hub has no file {file}. Look at {constants.ENDPOINT}/{model}/tree/"
                f"{revision or constants.DEFAULT_REVISION} for those that it has."
            )
        case RemoteEntryNotFoundError():
            return ModelError(
                f"{model} on the Hub is no diffusers pipeline: it has no {INDEX}. Choose a model whose page offers it "
                "for use with Diffusers."
            )
        case LocalEntryNotFoundError() | OfflineModeIsEnabled():
            where = "HF_HUB_OFFLINE forbids to ask the Hub" if constants.HF_HUB_OFFLINE else "the Hub cannot be reached"
            return ModelError(
                f"{model} is not in the cache ({constants.HF_HUB_CACHE}) as a whole, and {where} at "
                f"{constants.ENDPOINT}. Run `{command}` where there is network, or set MODEL_ID to a folder that holds "
                "the model."
            )
        case _:
            reason = str(error).partition("\n")[0].rstrip(".")
            return ModelError(
                f"{model} could not be fetched from {constants.ENDPOINT}: {type(error).__name__}: {reason}. What came "
                "is kept; run the same command again to go on from there."
            )
