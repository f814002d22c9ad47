"""POSTs to receivers that may be slow, broken or gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

import httpx

from server.discretion import without_secrets
from server.metrics import Metrics
from server.service.client import discard_body, send_following
from server.tracing import answered, carrier, client_span

logger = logging.getLogger(__name__)

RETRY_DELAYS = tuple(0.2 * 2**attempt for attempt in range(12))
"""Seconds between the attempts at a message that must arrive; 13.65 minutes in all."""

_RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
_ATTEMPT_SECONDS = 30
_MOST_REDIRECTS = 10
_MOST_HELD_BYTES = 256 << 20


class Delivery:
    """Delivers JSON by POST.

    Args:
        client: what to send with.
        metrics: where it is counted how attempts end.
        retry_delays: seconds to wait before each further attempt.
    """

    def __init__(
        self, client: httpx.AsyncClient, metrics: Metrics, retry_delays: Sequence[float] = RETRY_DELAYS
    ) -> None:
        self._client = client
        self._retry_delays = retry_delays
        self._metrics = metrics
        self._held_bytes = 0

    async def attempt(self, url: httpx.URL, headers: Mapping[bytes, bytes], body: bytes) -> int | None:
        """POST once. Returns the status of the answer, or `None` where none came within 30 seconds; either is logged
        where it means that the message was not taken."""
        with client_span("POST", "webhook", str(url)) as current:
            status = await self._attempt(url, _continued(headers), body)
            answered(current, status)
        return status

    async def _attempt(self, url: httpx.URL, headers: Mapping[bytes, bytes], body: bytes) -> int | None:
        headers = {**headers, b"content-type": b"application/json"}
        request = self._client.build_request("POST", url, content=body, headers=headers)
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                response = await send_following(self._client, request, _MOST_REDIRECTS)
                await discard_body(response)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            # The text of any other may quote a URL.
            reason = str(error) if isinstance(error, httpx.HTTPError) else ""
            self._metrics.webhooks.labels("unanswered").inc()
            _tell(logging.WARNING, "Webhook got no answer", url, reason=reason or type(error).__name__)
            return None
        self._metrics.webhooks.labels("delivered" if response.is_success else "rejected").inc()
        if response.is_success:
            _tell(logging.DEBUG, "Webhook delivered", url, status=response.status_code)
        else:
            _tell(logging.WARNING, "Webhook was not accepted", url, status=response.status_code)
        return response.status_code

    async def insist(self, url: httpx.URL, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """POST, and again after each delay while no answer comes or one that says to try later: 429, 500, 502, 503 or
        504. Where too much waits to be tried again already, there is one attempt only."""
        status = await self.attempt(url, headers, body)
        if _is_temporary(status):
            status = await self._try_again(url, headers, body)
        if status is None or not httpx.codes.is_success(status):
            self._metrics.webhooks_lost.inc()

    async def _try_again(self, url: httpx.URL, headers: Mapping[bytes, bytes], body: bytes) -> int | None:
        if self._held_bytes + len(body) > _MOST_HELD_BYTES:
            _tell(logging.ERROR, "Webhook given up: too many others wait to be tried again", url, attempts=1)
            return None
        self._held_bytes += len(body)
        try:
            for delay in self._retry_delays:
                await asyncio.sleep(delay)
                if not _is_temporary(status := await self.attempt(url, headers, body)):
                    return status
            _tell(logging.ERROR, "Webhook given up", url, attempts=1 + len(self._retry_delays))
            return None
        finally:
            self._held_bytes -= len(body)


def _continued(headers: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """The headers, which may have the trace of who asked for the prediction, with the span around this in its place."""
    if not (ours := carrier()):
        return headers
    others = {name: value for name, value in headers.items() if name not in (b"traceparent", b"tracestate")}
    return others | {name.encode(): value.encode() for name, value in ours.items()}


def _is_temporary(status: int | None) -> bool:
    return status is None or status in _RETRIED_STATUSES


def _tell(level: int, event: str, url: httpx.URL, **facts: object) -> None:
    logger.log(level, event, extra={"receiver": without_secrets(str(url)), **facts})
