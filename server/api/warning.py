"""What of a request Cog ignores in silence. So does this server, but not in silence."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence

from server.api.models import Body, PredictionRequest
from server.discretion import shown
from server.schema.signature import Interface, Mode
from server.schema.validation import ValidInput
from server.service.webhooks import usable_url

logger = logging.getLogger(__name__)

_MOST_NAMES = 20
_LONGEST_NAME = 40


def warning_header(
    id: str, mode: Mode, asked: PredictionRequest, valid: ValidInput, interface: Interface | None
) -> dict[str, str]:
    """The header that names what was ignored; no header where nothing was. That something was is logged as well.

    Args:
        id: the prediction's.
        mode: whether a prediction or a training was asked for.
        asked: the request.
        valid: what was taken of its inputs.
        interface: what the model offers.
    """
    complaints = dict(_complaints(mode, asked, valid, interface)) if interface else {}
    if not complaints:
        return {}
    names = list(valid.unknown)
    facts = {"prediction": id, "ignored": list(complaints), "private": lambda: {"unknown_inputs": shown(names) or None}}
    logger.warning("Parts of a request are ignored", extra=facts)
    return {"X-Darkroom-Warning": " ".join(complaints.values())}


def _complaints(
    mode: Mode, asked: PredictionRequest, valid: ValidInput, interface: Interface
) -> Iterator[tuple[str, str]]:
    """What is ignored, in a word, and what the client is told of that."""
    if mode is not interface.mode:
        noun = interface.mode.noun
        yield "mode", f"This is a {noun}, as every request is made one: the server runs with --x-mode {interface.mode}."
    if asked.unknown:
        names = f"{_list(asked.unknown)}. There are: {_list(Body.__struct_fields__)}."
        yield "keys", f'These keys of the body are unknown and were ignored: {names} Inputs belong into "input".'
    if valid.unknown:
        inputs = [field.name for field in interface.asked(mode).inputs]
        names = f"{_list(valid.unknown)}. The model has: {_list(inputs)}."
        yield "inputs", f"These inputs are unknown and were ignored: {names}"
    if asked.webhook is not None and not usable_url(asked.webhook):
        yield "webhook", f"The webhook is ignored: {_list([asked.webhook])} is not an http or https URL with a host."


def _list(names: Sequence[str]) -> str:
    # As JSON in ASCII, for no name that a client thought of may end the header or the line of the log.
    shown = [json.dumps(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...") for name in names]
    if len(shown) > _MOST_NAMES:
        shown[_MOST_NAMES:] = [f"and {len(shown) - _MOST_NAMES} more"]
    return ", ".join(shown) or "none"
