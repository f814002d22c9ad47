"""The file of a LoRA that a request names: found, fetched once, checked, and kept on disk."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote_to_bytes

from huggingface_hub import constants
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from server.diffusion.digests import file_digest
from server.diffusion.downloads import FetchError, Forbidden, Limits, Unreachable, ask, download
from server.diffusion.errors import InputError
from server.diffusion.file_cache import Draft, FileCache, Known
from server.diffusion.lora_hub import ask_hub
from server.diffusion.lora_sources import (
    CivitaiFile,
    DataUrl,
    HubFile,
    LocalFile,
    Source,
    WebFile,
    choose_file,
    parse_source,
)
from server.diffusion.safetensors_format import START_BYTES, check_file, check_start

_log = logging.getLogger(__name__)

_SHA256 = 64


@dataclass(frozen=True)
class LoraFile:
    """A safetensors file on this disk.

    Attributes:
        path: where.
        digest: the SHA-256 of its contents, in hexadecimal.
        size: in bytes.
    """

    path: Path
    digest: str
    size: int


class LoraFiles:
    """Finds the files of LoRAs. Everything that is asked for at the same time and is the same is fetched once.

    Args:
        folder: where fetched files are kept, `files/` by their contents; several processes may share it.
        max_bytes: how much they may take in all; what was not used for longest goes first.
        limits: what may be fetched.
        folders: those whose files a request may name by path; none by default, for a request may come from anywhere.
        civitai: where CivitAI is.
        civitai_token: a token of an account there; `None` is that of the environment variable CIVITAI_API_TOKEN.
        fresh_seconds: for how long a name means the same file without asking again. Then it is asked for by its ETag;
            where the server cannot be reached, what is here is used.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int = 20 << 30,
        *,
        limits: Limits | None = None,
        folders: Sequence[Path] = (),
        civitai: str = "https://civitai.com",
        civitai_token: str | None = None,
        fresh_seconds: float = 300.0,
    ) -> None:
        limits = limits or Limits()
        self._limits = replace(
            limits,
            max_bytes=min(limits.max_bytes, max_bytes),
            trusted=limits.trusted | {constants.ENDPOINT, civitai},
        )
        self._cache = FileCache(folder, max_bytes, ".safetensors")
        self._folders = [path.expanduser().resolve() for path in folders]
        self._civitai = civitai.rstrip("/")
        self._civitai_token = civitai_token or os.environ.get("CIVITAI_API_TOKEN")
        self._fresh_seconds = fresh_seconds
        self._fetching: dict[Source, _Fetching] = {}

    @asynccontextmanager
    async def open(self, text: str, input: str) -> AsyncIterator[LoraFile]:
        """The file that a text names; it stays within the block.

        Args:
            text: what a request says: `owner/repo`, `owner/repo/path/file.safetensors`, a URL of the Hub or of CivitAI
                or of any file, a data URL, or a path in one of the folders.
            input: the name of the request's input, for errors.

        Raises:
            InputError: there is no such file, it may not be had, or it is no safetensors file.
        """
        async with AsyncExitStack() as pins:
            try:
                file = await self._find(parse_source(text, self._folders), pins)
            except (FetchError, ValueError) as error:
                raise InputError(input, f"{_shown(text)}{error}.") from error
            except OSError as error:
                raise InputError(input, f"{_shown(text)}it cannot be read or stored ({error.strerror}).") from error
            yield file

    async def _find(self, source: Source, pins: AsyncExitStack) -> LoraFile:
        if isinstance(source, LocalFile):
            return await asyncio.to_thread(self._look_at, source.path)
        while True:
            digest = await self._digest_of(source)
            pins.enter_context(self._cache.pinned(digest))
            # Just before it may have had to leave for another.
            if path := self._cache.find(digest):
                return LoraFile(path, digest, path.stat().st_size)

    async def _digest_of(self, source: Source) -> str:
        if isinstance(source, DataUrl):
            return await asyncio.to_thread(self._decode, source.url)
        fetching = self._fetching.get(source)
        if fetching is None:
            fetching = self._fetching[source] = _Fetching(asyncio.create_task(self._bring(source)))
        fetching.waiting += 1
        try:
            return await asyncio.shield(fetching.task)
        finally:
            fetching.waiting -= 1
            if not fetching.waiting:
                # Either it is done, or nobody wants it any more.
                fetching.task.cancel()
                if self._fetching.get(source) is fetching:
                    del self._fetching[source]

    async def _bring(self, source: Source) -> str:
        name = f"{constants.ENDPOINT} {source!r}"
        known = self._cache.recall(name)
        # A version of CivitAI never changes.
        forever = isinstance(source, CivitaiFile) and source.version is not None
        if known and (forever or 0 <= time.time() - known.checked < self._fresh_seconds):
            return known.digest
        try:
            match source:
                case HubFile():
                    found = await self._from_hub(source, known)
                case CivitaiFile():
                    found = await self._from_civitai(source, known)
                case WebFile(url):
                    found = await self._fetch(url, {}, known)
                case _:
                    raise AssertionError(source)
        except Unreachable as error:
            if not known:
                raise
            _log.warning("Warning: what is in the cache is used for a LoRA, for %s.", error)
            return known.digest
        self._cache.remember(name, found.digest, found.etag)
        return found.digest

    async def _fetch(self, url: str, headers: Mapping[str, str], known: Known | None) -> Known:
        start = bytearray()

        async def write(piece: bytes) -> None:
            if len(start) < START_BYTES:
                start.extend(piece[:START_BYTES])
                if len(start) >= START_BYTES:
                    _checked(check_start, bytes(start))
            await asyncio.to_thread(draft.write, piece)

        with self._cache.new() as draft:
            answer = await download(url, write, self._limits, headers, known.etag if known else None)
            if not answer.changed and known:
                return known
            return Known(await asyncio.to_thread(_keep, draft), answer.etag, 0)

    async def _from_hub(self, source: HubFile, known: Known | None) -> Known:
        url, etag, size = await asyncio.to_thread(ask_hub, source)
        if known and etag and known.etag == etag:
            return known
        # Of large files the Hub tells the contents' digest.
        if etag and len(etag) == _SHA256 and self._cache.find(etag):
            return Known(etag, etag, 0)
        if size and size > self._limits.max_bytes:
            raise FetchError(f"it has {size} bytes, more than the {self._limits.max_bytes} that this server takes")
        fetched = await self._fetch(url, build_hf_headers(), None)
        return replace(fetched, etag=etag)

    async def _from_civitai(self, source: CivitaiFile, known: Known | None) -> Known:
        headers = {"Authorization": f"Bearer {self._civitai_token}"} if self._civitai_token else {}
        version = source.version
        try:
            if version is None:
                answer = await ask(f"{self._civitai}/api/v1/models/{source.model}", self._limits, headers)
                version = _newest_version(answer)
            query = f"?{source.query}" if source.query else ""
            return await self._fetch(f"{self._civitai}/api/download/models/{version}{query}", headers, known)
        except FetchError as error:
            # Instead of the file it may show a page to sign in.
            if not isinstance(error, Forbidden) and "web page" not in str(error):
                raise
            remedy = (
                "the account of CIVITAI_API_TOKEN may not have it"
                if self._civitai_token
                else "the operator of this server has to set CIVITAI_API_TOKEN"
            )
            raise FetchError(f"CivitAI gives it only to those who signed in; {remedy}") from error

    def _decode(self, url: str) -> str:
        data = _data_of(url)
        if len(data) > self._limits.max_bytes:
            raise ValueError(f"it is larger than the {self._limits.max_bytes} bytes that this server takes")
        digest = hashlib.sha256(data).hexdigest()
        if self._cache.find(digest):
            return digest
        check_start(data[:START_BYTES])
        with self._cache.new() as draft:
            draft.write(data)
            return _keep(draft)

    def _look_at(self, path: Path) -> LoraFile:
        if path.is_dir():
            names = [file.relative_to(path).as_posix() for file in path.rglob("*.safetensors")]
            path = (path / choose_file(names)).resolve()
            if not any(path.is_relative_to(folder) for folder in self._folders):
                raise ValueError("it leads out of the folder")
        status = path.stat()
        if status.st_size > self._limits.max_bytes:
            raise ValueError(f"it is larger than the {self._limits.max_bytes} bytes that this server takes")
        digest = _digest_and_check(path, status.st_mtime_ns, status.st_size, status.st_ino)
        return LoraFile(path, digest, status.st_size)


@dataclass
class _Fetching:
    """A file on its way, and how many requests wait for it."""

    task: asyncio.Task[str]
    waiting: int = 0


def _newest_version(answer: bytes) -> int:
    try:
        return int(json.loads(answer)["modelVersions"][0]["id"])
    except (ValueError, LookupError, TypeError) as error:
        raise FetchError("CivitAI names no version of this model; give its URL with ?modelVersionId=ID") from error


def _keep(draft: Draft) -> str:
    draft.flush()
    _checked(check_file, draft.path)
    return draft.keep()


def _checked(check: Callable[..., None], *arguments: object) -> None:
    try:
        check(*arguments)
    except ValueError as error:
        raise FetchError(str(error)) from error


@lru_cache(maxsize=256)
def _digest_and_check(path: Path, _modified: int, _size: int, _inode: int) -> str:
    check_file(path)
    return file_digest(path)


def _data_of(url: str) -> bytes:
    header, comma, data = url.partition(",")
    if not comma:
        raise ValueError("it has no comma. Write data:application/octet-stream;base64,<data>")
    if not header.lower().rstrip().endswith(";base64"):
        return unquote_to_bytes(data)
    try:
        return binascii.a2b_base64(unquote_to_bytes(data).translate(None, b" \t\n\f\r"), strict_mode=True)
    except ValueError as error:
        raise ValueError(f"it is not valid base64 ({error})") from error


def _shown(text: str, most: int = 200) -> str:
    """The start of an error: what was asked for, without what may be secret in it."""
    if text.lstrip().startswith("data:"):
        return "the data URL: "
    shown = text.strip().partition("?")[0].encode(errors="replace").decode()
    return f"{shown[:most]}: " if shown else ""
