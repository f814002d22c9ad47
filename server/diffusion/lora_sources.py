"""What somebody may write to name a LoRA: a model of the Hub, a page of CivitAI, a URL, a path, or the file itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from huggingface_hub import constants

FORMS = (
    "Give owner/repo or owner/repo/file.safetensors of the Hugging Face Hub, a URL of civitai.com, "
    "or any https URL of a .safetensors file"
)

_HUB_HOSTS = {"huggingface.co", "www.huggingface.co", "hf.co"}
_CIVITAI_HOSTS = {"civitai.com", "www.civitai.com"}
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(/.*)?")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository of the Hugging Face Hub.

    Attributes:
        repository: owner/name.
        path: of the file, or of a folder that holds it; empty where it is to be found.
        revision: a commit, branch or tag; `None` is the main branch.
    """

    repository: str
    path: str = ""
    revision: str | None = None


@dataclass(frozen=True)
class CivitaiFile:
    """A file of CivitAI.

    Attributes:
        model: the number of its page; `None` where the version is given.
        version: the number of the version; `None` is the newest.
        query: chooses among the files of a version.
    """

    model: int | None
    version: int | None
    query: str = ""


@dataclass(frozen=True)
class WebFile:
    """A file at any URL."""

    url: str


@dataclass(frozen=True)
class LocalFile:
    """A file of this machine, or a folder that holds it."""

    path: Path


@dataclass(frozen=True)
class DataUrl:
    """The file itself."""

    url: str


Source = HubFile | CivitaiFile | WebFile | LocalFile | DataUrl


def parse_source(text: str, folders: Sequence[Path]) -> Source:
    """What a text names.

    Args:
        text: as it was sent.
        folders: those whose files may be named by path; resolved. Of other paths it is not even looked at whether
            they exist.

    Raises:
        ValueError: it names nothing that could be fetched; the message says what would.
    """
    text = text.strip()
    if not text:
        raise ValueError(f"it is empty. {FORMS}, or leave it out")
    if text.startswith("data:"):
        return DataUrl(text)
    if any(text.startswith(f"{host}/") for host in _HUB_HOSTS | _CIVITAI_HOSTS):
        text = f"https://{text}"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        return _parse_url(text)
    if path := _find_allowed(text, folders):
        return LocalFile(path)
    if text.startswith(("/", "./", "../", "~")) or "\\" in text or "\0" in text:
        allowed = f" Paths may be below {', '.join(map(str, folders))}" if folders else ""
        raise ValueError(f"there is no file {text!r} that a request may name.{allowed or ' ' + FORMS}")
    if not _HUB_NAME.fullmatch(text) or ".." in text.split("/"):
        raise ValueError(f"{text!r} names no LoRA. {FORMS}")
    owner, name, *rest = text.split("/")
    return _hub_file(f"{owner}/{name}", "/".join(rest))


def choose_file(names: Sequence[str], folder: str = "") -> str:
    """Of the files of a repository, or of a folder of it, the one that is the LoRA.

    Raises:
        ValueError: there is none, or there are several.
    """
    inside = [name for name in names if not folder or name.startswith(folder.rstrip("/") + "/")]
    found = sorted(name for name in inside if name.endswith(".safetensors"))
    usual = [name for name in found if name.rpartition("/")[2] == "pytorch_lora_weights.safetensors"]
    if len(usual) == 1 or len(found) == 1:
        return (usual if len(usual) == 1 else found)[0]
    if found:
        shown = ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
        raise ValueError(f"it has {len(found)} files of weights: {shown}. Name one of them after it, with a slash")
    pickled = [name for name in inside if name.endswith(_PICKLED)]
    if pickled:
        raise ValueError(
            f"it has no .safetensors file, only {', '.join(pickled[:3])}. Other formats can run code when they are "
            "read, so they are never loaded"
        )
    raise ValueError("it has no .safetensors file")


def _parse_url(text: str) -> Source:
    try:
        url = urlsplit(text)
        host = (url.hostname or "").lower()
        _ = url.port
    except ValueError as error:
        raise ValueError(f"{text!r} is not a valid URL ({error}). {FORMS}") from None
    if url.scheme not in ("http", "https") or not host:
        raise ValueError(f"{text!r} is no https URL. {FORMS}")
    if host in _HUB_HOSTS or host == urlsplit(constants.ENDPOINT).netloc:
        return _parse_hub_url(text, [unquote(part) for part in url.path.split("/") if part])
    if host in _CIVITAI_HOSTS:
        return _parse_civitai_url(text, url.path, parse_qs(url.query))
    if url.username or url.password:
        raise ValueError("the URL has a user name or a password in it. Give one that needs none")
    return WebFile(text)


def _parse_hub_url(text: str, parts: Sequence[str]) -> Source:
    match parts:
        case [owner, name]:
            return HubFile(f"{owner}/{name}")
        case [owner, name, "blob" | "resolve" | "raw" | "tree", revision, *rest] if ".." not in rest:
            return _hub_file(f"{owner}/{name}", "/".join(rest), revision)
    raise ValueError(f"{text!r} is no file of the Hub. Give huggingface.co/owner/repo/blob/main/file.safetensors")


def _hub_file(repository: str, path: str, revision: str | None = None) -> HubFile:
    if path.endswith(_PICKLED):
        raise ValueError(
            f"{path} is no .safetensors file. Other formats can run code when they are read, so they are never loaded"
        )
    return HubFile(repository, path.strip("/"), revision)


def _parse_civitai_url(text: str, path: str, query: dict[str, list[str]]) -> Source:
    if match := re.fullmatch(r"/api/download/models/(\d+)/?", path):
        chosen = {name: values for name, values in query.items() if name != "token"}
        return CivitaiFile(None, int(match[1]), urlencode(chosen, doseq=True))
    if match := re.match(r"/models/(\d+)(/|$)", path):
        version = query.get("modelVersionId", [""])[0]
        return CivitaiFile(None, int(version)) if version.isdecimal() else CivitaiFile(int(match[1]), None)
    raise ValueError(
        f"{text!r} is no model of CivitAI. Give civitai.com/models/ID, with ?modelVersionId=ID for a certain version"
    )


def _find_allowed(text: str, folders: Sequence[Path]) -> Path | None:
    for folder in folders:
        # Absolute paths stay what they are.
        for start in (folder, Path.cwd()):
            try:
                path = (start / Path(text).expanduser()).resolve()
                if path.is_relative_to(folder) and path.exists():
                    return path
            except (OSError, ValueError, RuntimeError):
                continue
    return None
