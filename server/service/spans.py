"""What becomes of predictions, told to traces. Names and attributes are those of Cog where Cog has them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry.trace import Span

from server.discretion import shown
from server.prediction import Prediction, Status
from server.schema.signature import Mode
from server.service import journal
from server.tracing import CANCELED, Tracing, fail, span
from server.worker.messages import Canceled, Failed, TerminalEvent

_TAG = re.compile(r"trace\.([A-Za-z0-9._-]{1,64})")
_MOST_TAGS = 16
_LONGEST_TAG = 128
_MOST_TAG_BYTES = 4096


@contextmanager
def whole(tracing: Tracing, prediction: Prediction, input: Mapping[str, Any]) -> Iterator[Span]:
    """The span of a prediction from when it is accepted to its end.

    Args:
        tracing: where it goes, and all within.
        prediction: the new one.
        input: what others may see of its input, no secrets.
    """
    attributes = {"cog.prediction.id": prediction.id, **_tags(prediction.context)}
    if tracing.with_prompts:
        attributes["darkroom.input"] = _sendable(json.dumps(shown(dict(input)), ensure_ascii=False))
    with tracing.active(), span(_root(prediction)) as current:
        current.set_attributes(attributes)
        yield current


def stage(name: str, prediction: Prediction) -> AbstractContextManager[Span]:
    """The span of a part of it that Cog has, too."""
    return span(f"{_root(prediction)}.{name}")


def ended(current: Span, tracing: Tracing, prediction: Prediction, input: Mapping[str, Any]) -> None:
    """Tell how a prediction ended.

    Args:
        current: its span.
        tracing: as in `whole`.
        prediction: as it is now.
        input: as in `whole`.
    """
    current.set_attribute("cog.prediction.status", str(prediction.status))
    if prediction.status is Status.CANCELED:
        current.set_attribute(CANCELED, True)
    elif prediction.status is Status.FAILED:
        error = journal.told_error(prediction, input) if tracing.with_prompts else None
        fail(current, "prediction_failed", error and _sendable(error))


def executed(current: Span, end: TerminalEvent) -> None:
    """Tell how a child ended a prediction."""
    match end:
        case Canceled():
            current.set_attribute(CANCELED, True)
        case Failed():
            fail(current, "prediction_failed")


def _root(prediction: Prediction) -> str:
    return "cog.train" if prediction.asked is Mode.TRAIN else "cog.prediction"


def _tags(context: Mapping[str, str]) -> dict[str, str]:
    """What the client gives as `trace.NAME` in the context, as `caller.NAME`: few, and short ones."""
    named = {match[1]: context[name] for name in sorted(context) if (match := _TAG.fullmatch(name))}
    tags: dict[str, str] = {}
    room = _MOST_TAG_BYTES
    for name, value in list(named.items())[:_MOST_TAGS]:
        key, text = f"caller.{name}", _sendable(value).encode()[:_LONGEST_TAG].decode(errors="ignore")
        room -= len(key) + len(text.encode())
        if room < 0:
            break
        tags[key] = text
    return tags


def _sendable(text: str) -> str:
    # JSON can name half a surrogate pair, UTF-8 cannot.
    return text.encode(errors="replace").decode()
