"""The HTTP client that fetches inputs, uploads outputs and delivers webhooks."""

from __future__ import annotations

from contextlib import suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from server import __version__

USER_AGENT = f"darkroom/{__version__}"

_LARGEST_PORT = 65535
_SHORT_BODY = 1 << 16


def http_client(user_agent: str = USER_AGENT) -> httpx.AsyncClient:
    """A client that many predictions may share: it keeps no cookies, and a slow peer of one cannot hold up another.

    Ten seconds may pass until a connection is made, and thirty without a byte. Proxies and certificates come from the
    usual environment variables.
    """
    return httpx.AsyncClient(
        headers={"User-Agent": user_agent},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx.Timeout(30, connect=10, pool=None),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
    )


def http_url(text: str | httpx.URL) -> httpx.URL:
    """Parse an absolute http or https URL.

    Every URL that somebody else chose comes through here before it is asked for, those of redirects too.

    Raises:
        ValueError: it is none that could be asked for; the message says why.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise ValueError(f"it is not a valid URL ({error})") from error
    if url.scheme not in ("http", "https"):
        raise ValueError("it is not an http or https URL")
    if not url.host:
        raise ValueError("it names no host")
    if url.port is not None and not 0 < url.port <= _LARGEST_PORT:
        raise ValueError(f"there is no port {url.port}")
    return url


async def send_following(client: httpx.AsyncClient, request: httpx.Request, most_redirects: int) -> httpx.Response:
    """Send a request, and follow redirects with the cookies that they set.

    Returns the first response that is no redirect; its body has not been read, and it has to be closed.

    Raises:
        httpx.HTTPError: the server could not be reached, or what it sent is not HTTP.
        ValueError: there were more redirects than `most_redirects`, or one leads to no http or https URL.
    """
    cookies = httpx.Cookies()
    for _ in range(1 + most_redirects):
        response = await client.send(request, stream=True, follow_redirects=False)
        if response.next_request is None:
            return response
        await discard_body(response)
        request = response.next_request
        http_url(request.url)
        cookies.extract_cookies(response)
        cookies.set_cookie_header(request)
    raise ValueError(f"exceeded {most_redirects} redirects")


async def discard_body(response: httpx.Response) -> None:
    """End a streamed response of which only the head matters.

    A short body is read all the same, or the connection could not be used again.
    """
    length = response.headers.get("Content-Length", "")
    with suppress(httpx.HTTPError):
        if length.isdecimal() and int(length) <= _SHORT_BODY:
            async for _ in response.aiter_raw():
                pass
    await response.aclose()
