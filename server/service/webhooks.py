"""Webhooks: what happens to a prediction, POSTed to a URL that its client chose."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import httpx

from server.metrics import Metrics
from server.prediction import Prediction, WebhookEvent
from server.service.client import http_url
from server.service.delivery import RETRY_DELAYS, Delivery
from server.service.updates import pieces
from server.worker.messages import Log, Metric, Output, PredictionEvent

logger = logging.getLogger(__name__)

_TRACING = ("traceparent", "tracestate")
_MOST_WAITING = 64


def usable_url(url: str) -> bool:
    """Whether webhooks can be sent there; where not they are left out, as Cog does, and the client should be told."""
    return _parsed(url) is not None


class Webhooks:
    """Sends the webhooks of all predictions.

    Args:
        client: what to send with.
        token: sent as `Authorization: Bearer`, unless it is `None`.
        interval: seconds, 0 or more, that must have passed since any webhook before one is sent for logs alone.
        retry_delays: seconds to wait before each further attempt at a final webhook.
        metrics: where deliveries are counted; `None` is nowhere that anybody looks.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        token: str | None = None,
        interval: float = 0.5,
        retry_delays: Sequence[float] = RETRY_DELAYS,
        metrics: Metrics | None = None,
    ) -> None:
        self._delivery = Delivery(client, metrics or Metrics(), retry_delays)
        self._token = token
        self._interval = interval
        self._tasks: set[asyncio.Task[None]] = set()

    def open(
        self,
        url: str | None,
        events: Collection[WebhookEvent] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Webhook:
        """The webhook of one prediction.

        Args:
            url: where to POST. Nothing is sent where it is `None`, nor where it is not usable, as `usable_url` tells.
            events: what to tell; `None` is everything.
            headers: those of the request that made the prediction, of which `traceparent` and `tracestate` are passed
                on; names in lower case.
        """
        target = _parsed(url) if url is not None else None
        if target is None:
            return Webhook(self, httpx.URL(), {}, frozenset())
        given = headers or {}
        # What came in as Latin-1, as headers do, goes out as the same bytes.
        sent = {name.encode(): given[name].encode("latin-1", "replace") for name in _TRACING if name in given}
        if self._token is not None:
            sent[b"authorization"] = f"Bearer {self._token}".encode()
        return Webhook(self, target, sent, frozenset(WebhookEvent if events is None else events))

    async def close(self, grace: float) -> None:
        """Once no prediction runs any more: give what waits to be sent `grace` seconds; what is left then is dropped,
        and that is logged."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        if late := list(self._tasks):
            # Whoever else closes this meanwhile has nothing to tell of them.
            self._tasks.clear()
            logger.warning("Webhooks were not delivered before the server stopped", extra={"predictions": len(late)})
            for task in late:
                task.cancel()
            await asyncio.wait(late)


class _Waiting(NamedTuple):
    """A webhook that waits for those before it; nothing in `state` changes any more."""

    state: dict[str, Any]
    final: bool


class Webhook:
    """Tells one prediction to one URL, in order. Telling never waits; a task of its own sends.

    Where the receiver cannot keep up, states between are left out: each webhook has the whole state anyway. Made by
    `Webhooks.open`.
    """

    def __init__(
        self, webhooks: Webhooks, url: httpx.URL, headers: Mapping[bytes, bytes], events: frozenset[WebhookEvent]
    ) -> None:
        self._webhooks = webhooks
        self._url = url
        self._headers = headers
        self._events = events
        self._output: list[Any] = []
        self._told_at = float("-inf")
        self._waiting: deque[_Waiting] = deque()
        self._sender: asyncio.Task[None] | None = None

    def start(self, prediction: Prediction) -> None:
        """Tell that the prediction runs."""
        self._tell(WebhookEvent.START, prediction)

    def notify(self, prediction: Prediction, event: PredictionEvent) -> None:
        """Tell what the worker said and the prediction took in.

        Logs that are held back because something was told a moment ago come with the next webhook, as metrics do.

        Args:
            prediction: as it is after `event`.
            event: in which outputs are published already.
        """
        match event:
            case Log():
                if time.monotonic() - self._told_at >= self._webhooks._interval:
                    self._tell(WebhookEvent.LOGS, prediction)
            case Metric():
                return
            case Output():
                for piece in pieces(event):
                    self._output.append(piece)
                    self._tell(WebhookEvent.OUTPUT, prediction)
            case _:
                self._tell(WebhookEvent.COMPLETED, prediction)

    def _tell(self, event: WebhookEvent, prediction: Prediction) -> None:
        if event not in self._events:
            return
        self._told_at = time.monotonic()
        final = event is WebhookEvent.COMPLETED
        if len(self._waiting) >= _MOST_WAITING and not final:
            self._waiting.pop()
        self._waiting.append(_Waiting(self._state(prediction, final), final))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())
            self._webhooks._tasks.add(self._sender)
            self._sender.add_done_callback(self._webhooks._tasks.discard)

    def _state(self, prediction: Prediction, final: bool) -> dict[str, Any]:
        state = prediction.to_dict()
        if not final:
            # Like Cog: until the end, also a value that was returned at once is told as a list of pieces.
            state["metrics"] = deepcopy(prediction.metrics)
            state["output"] = list(self._output)
            if not self._output:
                del state["output"]
        return state

    async def _send(self) -> None:
        delivery = self._webhooks._delivery
        while self._waiting:
            message = self._waiting.popleft()
            body = _encoded(message.state)
            if message.final:
                await delivery.insist(self._url, self._headers, body)
            elif await delivery.attempt(self._url, self._headers, body) is None:
                # Nobody answers: what waited meanwhile is not worth as many timeouts, but for the latest.
                while len(self._waiting) > 1:
                    self._waiting.popleft()


def _parsed(url: str) -> httpx.URL | None:
    try:
        return http_url(url.strip())
    except ValueError:
        return None


def _encoded(state: dict[str, Any]) -> bytes:
    # JSON can name half a surrogate pair, UTF-8 cannot.
    text = json.dumps(dict(sorted(state.items())), ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace")
