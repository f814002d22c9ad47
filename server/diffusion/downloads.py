"""Fetching a file from a URL that somebody else chose: bounded, and not from within this machine's own network."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

_MOST_REDIRECTS = 10
_PIECE = 1 << 20
_REDIRECTS = {301, 302, 303, 307, 308}


class FetchError(Exception):
    """A file could not be fetched; the message says why and what would help, without a full stop."""


class Forbidden(FetchError):
    """The server gives it only to those whom it knows."""


class Unreachable(FetchError):
    """There was no answer, or one that says to try again later."""


@dataclass(frozen=True)
class Limits:
    """What may be fetched.

    Attributes:
        max_bytes: the size that no file may exceed.
        http: whether http URLs may be fetched, and not only https.
        private_addresses: whether addresses may be, that are not of the public internet.
        trusted: URLs of servers that the operator chose; what is above does not hold for these.
    """

    max_bytes: int = 2 << 30
    http: bool = False
    private_addresses: bool = False
    trusted: frozenset[str] = field(default_factory=frozenset)

    def trusts(self, url: httpx.URL) -> bool:
        """Whether a URL is of such a server."""
        return any(_origin(httpx.URL(one)) == _origin(url) for one in self.trusted)


@dataclass(frozen=True)
class Answer:
    """What a server answered.

    Attributes:
        changed: whether a file came; it does not where it is still the one of the `etag` that was asked with.
        etag: tells this state of the file from others; `None` where the server has none.
    """

    changed: bool
    etag: str | None


Sink = Callable[[bytes], Awaitable[None]]


async def download(url: str, sink: Sink, limits: Limits, headers: Mapping[str, str], etag: str | None = None) -> Answer:
    """Fetch a file, piece by piece.

    Proxies come from the usual environment variables; what a proxy reaches is for the proxy to say.

    Args:
        url: an http or https URL.
        sink: given the pieces in order, each of 1 MiB at most; a `FetchError` that it raises ends the download.
        limits: what may be fetched.
        headers: sent to this server and to no other that it redirects to.
        etag: of a state of the file that is there already.

    Raises:
        FetchError: the file is not to be had, or breaks a limit.
    """
    sent = {"Accept-Encoding": "identity", **headers} | ({"If-None-Match": etag} if etag else {})
    transport = _Transport(limits)
    timeout = httpx.Timeout(30, connect=10, pool=None)
    try:
        async with httpx.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False) as client:
            response = await _follow(client, client.build_request("GET", url, headers=sent), limits)
            try:
                return await _receive(response, sink, limits)
            finally:
                await response.aclose()
    except httpx.TimeoutException as error:
        raise Unreachable(f"{_host(url)} did not answer in time; try again later") from error
    except httpx.InvalidURL as error:
        raise FetchError(f"{url!r} is not a valid URL ({error})") from error
    except httpx.HTTPError as error:
        raise Unreachable(f"it could not be fetched from {_host(url)} ({error or type(error).__name__})") from error


async def ask(url: str, limits: Limits, headers: Mapping[str, str]) -> bytes:
    """Fetch a short answer, of 4 MiB at most, such as what an API says.

    Raises:
        FetchError: it is not to be had.
    """
    pieces: list[bytes] = []

    async def collect(piece: bytes) -> None:
        pieces.append(piece)

    short = Limits(4 << 20, limits.http, limits.private_addresses, limits.trusted)
    await download(url, collect, short, headers)
    return b"".join(pieces)


async def _follow(client: httpx.AsyncClient, request: httpx.Request, limits: Limits) -> httpx.Response:
    for _ in range(1 + _MOST_REDIRECTS):
        _check_scheme(request.url, limits)
        response = await client.send(request, stream=True)
        if response.next_request is None or response.status_code not in _REDIRECTS:
            return response
        await response.aclose()
        request = response.next_request
    raise FetchError(f"{request.url.host} redirects more than {_MOST_REDIRECTS} times; give the URL of the file itself")


async def _receive(response: httpx.Response, sink: Sink, limits: Limits) -> Answer:
    etag = response.headers.get("ETag")
    if response.status_code == 304:
        return Answer(False, etag)
    _check_status(response)
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise FetchError(f"{response.url.host} sends the file compressed, though it was asked not to")
    announced = response.headers.get("Content-Length", "")
    left = limits.max_bytes
    if announced.isdecimal() and int(announced) > left:
        raise _too_large(limits)
    async for piece in response.aiter_raw(_PIECE):
        left -= len(piece)
        if left < 0:
            raise _too_large(limits)
        await sink(piece)
    return Answer(True, etag)


def _check_scheme(url: httpx.URL, limits: Limits) -> None:
    if url.scheme == "https" or (url.scheme == "http" and (limits.http or limits.trusts(url))):
        return
    raise FetchError(f"{url.scheme}://{url.host} is not asked for files, only https URLs are; give one of these")


def _check_status(response: httpx.Response) -> None:
    status, host = response.status_code, response.url.host
    if status == 200:
        return
    if status in (401, 403):
        raise Forbidden(f"{host} gives it only to those who may see it (status {status}); give a URL that is public")
    if status in (404, 410):
        raise FetchError(f"{host} has no such file (status {status}); check the spelling")
    if status == 429 or status >= 500:
        raise Unreachable(f"{host} cannot give it now (status {status}); try again later")
    raise FetchError(f"{host} answered with status {status}, and with no file")


def _too_large(limits: Limits) -> FetchError:
    return FetchError(f"it is larger than the {limits.max_bytes} bytes that this server takes")


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the server"


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


class _Transport(httpx.AsyncBaseTransport):
    """Connects to the very addresses that it has checked, so that a name cannot mean another one a moment later."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._direct = httpx.AsyncHTTPTransport()
        self._proxied: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if self._limits.private_addresses or self._limits.trusts(url):
            return await self._through(url).handle_async_request(request)
        if url.host == "localhost" or url.host.endswith(".localhost") or not _is_public(url.host, unless_name=True):
            raise _forbidden(url.host)
        transport = self._through(url)
        if transport is not self._direct:
            return await transport.handle_async_request(request)
        addresses = await _resolve(url)
        if not all(map(_is_public, addresses)):
            raise _forbidden(url.host)
        for address in addresses[:-1]:
            try:
                return await self._connect(request, address)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._connect(request, addresses[-1])

    async def aclose(self) -> None:
        for transport in (self._direct, *self._proxied.values()):
            await transport.aclose()

    def _through(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        proxies = getproxies()
        proxy = proxies.get(url.scheme) or proxies.get("all")
        if not proxy or proxy_bypass(url.host):
            return self._direct
        return self._proxied.setdefault(proxy, httpx.AsyncHTTPTransport(proxy=proxy))

    async def _connect(self, request: httpx.Request, address: str) -> httpx.Response:
        # The header Host and the certificate that is asked for stay those of the name.
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )
        return await self._direct.handle_async_request(pinned)


async def _resolve(url: httpx.URL) -> list[str]:
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"there is no server {url.host!r} ({error}); check the spelling") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_public(host: str, unless_name: bool = False) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return unless_name
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
    return bool(address.is_global and mapped.is_global and not mapped.is_multicast)


def _forbidden(host: str) -> FetchError:
    return FetchError(f"{host} is an address of this machine or its network, which requests may not reach")
