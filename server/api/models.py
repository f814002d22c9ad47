"""What clients send."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from server.errors import InvalidRequest, Violation
from server.prediction import WebhookEvent
from server.schema.bodies import ID_PATTERN

_SAFE_ID = re.compile(ID_PATTERN)


class Body(Struct, frozen=True):
    """The body of a request for a prediction; other keys are ignored, as Cog does.

    Attributes:
        id: what the client calls it.
        input: the inputs; `None` is none at all. Their types are checked against the model's schema later.
        context: what the model reads as `current_scope().context`.
        webhook: where to send what happens.
        webhook_events_filter: of which events; all unless given.
    """

    id: str | None = None
    input: Any = None
    context: dict[str, str] = {}
    webhook: str | None = None
    webhook_events_filter: frozenset[WebhookEvent] = frozenset(WebhookEvent)


class PredictionRequest(Body, frozen=True):
    """What is asked for.

    Attributes:
        unknown: the keys of the body that were ignored.
    """

    unknown: tuple[str, ...] = ()


def check_id(id: str) -> str:
    """Let an id of a client pass that is safe as a file name and as a part of a URL.

    Raises:
        InvalidRequest: it is not.
    """
    if _SAFE_ID.fullmatch(id):
        return id
    shown = repr(id if len(id) <= 50 else id[:50] + "...")
    rule = "must be 1 to 200 of the characters A-Z a-z 0-9 _ ~ : @ + = , - . and not start with a full stop"
    raise InvalidRequest([Violation(("body", "id"), f"{shown} is no prediction ID: it {rule}")])
