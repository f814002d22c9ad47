"""Weights from any web server, kept on this disk: resumed where they were cut off, and verified."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import httpx
from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]
from safetensors import SafetensorError, safe_open
from tqdm import tqdm  # type: ignore[import-untyped]

from server.diffusion.digests import verify
from server.diffusion.errors import ModelError

SUFFIX = ".safetensors"

CIVITAI = "https://civitai.com"

_TOKEN = "CIVITAI_API_TOKEN"  # noqa: S105 - the name of a variable

_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}

_CHUNK_BYTES = 1 << 20

_TIMEOUT = httpx.Timeout(30, connect=10)

_PART, _SOURCE = "part", "source.json"


@dataclass(frozen=True)
class Link:
    """A file on the web, by its URL."""

    url: str


@dataclass(frozen=True)
class Source:
    """Where a file came from, as it is written beside it.

    Attributes:
        url: without what may be secret in it, the query.
        etag: which state of it the server called so; `None` where it said nothing.
        sha256: what was verified, in hexadecimal digits; `None` where nobody says what it should be.
    """

    url: str
    etag: str | None
    sha256: str | None


def is_url(text: str) -> bool:
    """Whether this is meant to be a URL."""
    return re.match(r"https?://", text, re.IGNORECASE) is not None


def public(url: str) -> str:
    """A URL without its query and fragment, which may hold what others must not see."""
    return re.split(r"[?#]", url, maxsplit=1)[0]


def kept(url: str, folder: Path) -> Path | None:
    """The file that `download` has put into `folder` for this URL."""
    place = _place(url, folder)
    return next((path for path in place.glob(f"*{SUFFIX}")), None) if (place / _SOURCE).is_file() else None


def download(url: str, folder: Path) -> Path:
    """Fetch a `.safetensors` file, with a progress bar; what an earlier run left is gone on with.

    Args:
        url: `https://`, or `http://` of this machine. `#sha256=HEX` at its end says what the file has to be; of files
            of CivitAI that is asked for there, and CIVITAI_API_TOKEN is sent to it, and to it alone.
        folder: where it is kept, in a folder of its own.

    Raises:
        ModelError: it cannot be had, came damaged, or is something else.
    """
    if present := kept(url, folder):
        return present
    address, expected = _parse(url)
    place = _place(url, folder)
    place.mkdir(parents=True, exist_ok=True)
    part = place / _PART
    with WeakFileLock(place / "lock"):
        if present := kept(url, folder):
            return present
        try:
            with httpx.Client(follow_redirects=True, timeout=_TIMEOUT) as client:
                name, etag = _fetch(client, address, place)
                expected = expected or _digest_of(client, address, name)
        except (httpx.HTTPError, OSError) as error:
            raise ModelError(
                f"{public(url)} could not be fetched: {type(error).__name__}: {error}. What came is kept; run the same "
                "command again to go on from there."
            ) from error
        if expected:
            verify(part, expected, name)
        _check_format(part, public(url))
        file = part.rename(place / name)
        (place / _SOURCE).write_text(json.dumps(asdict(Source(public(url), etag, expected))))
        return file


def remove(file: Path) -> None:
    """Remove a file that `download` has returned, so that it is fetched anew."""
    shutil.rmtree(file.parent)


def _place(url: str, folder: Path) -> Path:
    return folder / hashlib.sha256(url.encode()).hexdigest()[:24]


def _parse(url: str) -> tuple[httpx.URL, str | None]:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ModelError(
            f"{public(url)} is no URL: {error}. Give one such as https://example.com/model.safetensors."
        ) from error
    digest = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", address.fragment)
    if address.fragment and not digest:
        raise ModelError(
            f"After the # of {public(url)}, there may be `sha256=` and 64 hexadecimal digits, nothing else."
        )
    if address.scheme != "https" and address.host not in _LOOPBACK:
        raise ModelError(f"{public(url)} is not fetched: on the way, others could change it. Give an https:// URL.")
    address = address.copy_with(fragment=None)
    if _is_civitai(address) and (page := re.fullmatch(r"/models/\d+(/.*)?", address.path)):
        version = address.params.get("modelVersionId")
        if not version:
            raise ModelError(
                f"{public(url)} is the page of a model with several versions. Give the link of its download button, "
                f"or choose a version on the page, so that its address ends in ?modelVersionId=NUMBER."
            )
        assert page
        address = httpx.URL(f"{CIVITAI}/api/download/models/{version}")
    return address, digest[1].lower() if digest else None


def _is_civitai(address: httpx.URL) -> bool:
    home = httpx.URL(CIVITAI)
    return (address.scheme, address.host.removeprefix("www."), address.port) == (home.scheme, home.host, home.port)


def _authorization(address: httpx.URL) -> dict[str, str]:
    token = os.environ.get(_TOKEN)
    return {"Authorization": f"Bearer {token}"} if token and _is_civitai(address) else {}


def _fetch(client: httpx.Client, address: httpx.URL, place: Path) -> tuple[str, str | None]:
    """Bring the part to its full length; the file's name and its ETag."""
    part, state = place / _PART, place / "part.json"
    start = part.stat().st_size if part.exists() and state.exists() else 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "darkroom", **_authorization(address)}
    if start:
        known = json.loads(state.read_text())
        # Of a file that has changed meanwhile, this gets the whole.
        headers |= {"Range": f"bytes={start}-", "If-Range": known["etag"]}
    with client.stream("GET", address, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            if response.headers.get("Content-Range") == f"bytes */{start}":
                return known["name"], known["etag"]
            part.unlink()
            return _fetch(client, address, place)
        _check(response, address)
        name, etag = _name(response, address), response.headers.get("ETag")
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            start = 0
        # A weak one does not promise the same bytes.
        if etag and not etag.startswith("W/"):
            state.write_text(json.dumps({"etag": etag, "name": name}))
        else:
            state.unlink(missing_ok=True)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(total=total, initial=start, desc=name, unit="B", unit_scale=True) as bar,
        ):
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                file.write(chunk)
                bar.update(len(chunk))
    return name, etag


def _check(response: httpx.Response, address: httpx.URL) -> None:
    where = public(str(address))
    login = (
        f" Set {_TOKEN} to an API key of your account there (Account settings, API keys)."
        if _is_civitai(address)
        else " Give a URL that needs no login, or fetch the file yourself and give its path."
    )
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise ModelError(f"{where} is not open to everybody (status {response.status_code}).{login}")
    if response.is_error:
        raise ModelError(f"{where} could not be fetched: the server answers {response.status_code}. Check the URL.")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise ModelError(f"{where} is a web page, and no file of weights: perhaps one to log in at.{login}")


def _name(response: httpx.Response, address: httpx.URL) -> str:
    disposition = response.headers.get("Content-Disposition", "")
    found = re.search(r"filename\*=UTF-8''([^;]+)|filename=\"([^\"]+)\"|filename=([^;\s]+)", disposition, re.IGNORECASE)
    given = next(filter(None, found.groups())) if found else address.path
    # The last part alone: a name must not lead out of the folder.
    name = PurePosixPath(unquote(given).replace("\\", "/")).name
    refuse_pickle(name)
    return name if name.endswith(SUFFIX) else f"{name or 'model'}{SUFFIX}"


def refuse_pickle(name: str) -> None:
    """Refuse a file whose format can run code when it is read.

    Raises:
        ModelError: by its name, it is such a one.
    """
    if PurePosixPath(name).suffix.lower() in {".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"}:
        raise ModelError(
            f"{name} may run code when it is read, so it is never loaded. Most sites offer the same model as "
            ".safetensors. Or convert it, on a machine that you can do without: "
            "`weights = torch.load(FILE, weights_only=True)`, then `safetensors.torch.save_file("
            "weights.get('state_dict', weights), 'model.safetensors')`."
        )


def _check_format(part: Path, name: str) -> None:
    try:
        # Reads the header, and compares the length of the file with what that says.
        with safe_open(part, framework="numpy"):
            pass
    except SafetensorError as error:
        part.unlink()
        raise ModelError(
            f"{name} is no whole .safetensors file ({error}). Check the URL, and fetch it again."
        ) from error


def _digest_of(client: httpx.Client, address: httpx.URL, name: str) -> str | None:
    """What CivitAI says that the file's SHA-256 is; `None` where it does not, or is not asked."""
    found = re.fullmatch(r"/api/download/models/(\d+)", address.path)
    if not _is_civitai(address) or not found:
        return None
    response = client.get(f"{CIVITAI}/api/v1/model-versions/{found[1]}", headers=_authorization(address))
    if response.is_error:
        return None
    return _find_digest(response.json(), name)


def _find_digest(version: Any, name: str) -> str | None:
    files = version.get("files") if isinstance(version, Mapping) else None
    for file in files or ():
        if file.get("name") == name:
            digest = (file.get("hashes") or {}).get("SHA256")
            return str(digest).lower() if digest else None
    return None
