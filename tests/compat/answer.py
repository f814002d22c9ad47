"""What a server answered, without what is different each time."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_MASKED_TIMES = ("started_at", "completed_at")


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        status: the HTTP status.
        media_type: of its body.
        body: its JSON, ids and times masked; or its text.
    """

    status: int
    media_type: str | None
    body: Any

    def __str__(self) -> str:
        # As text, in which 1, 1.0 and true are three things.
        return f"{self.status} {self.media_type}\n" + json.dumps(self.body, indent=1, sort_keys=True)


def answer_of(response: httpx.Response, folder: Path) -> Answer:
    """What is to be compared of a response; `folder` is where its server runs."""
    media_type = response.headers.get("content-type")
    if media_type == "text/event-stream":
        return Answer(response.status_code, media_type, [_event(text) for text in response.text.split("\n\n")])
    if media_type != "application/json":
        # How a parser words its complaint is its own affair.
        return Answer(response.status_code, media_type, response.text.partition(": ")[0])
    text = re.sub("0x[0-9a-f]{6,}", "0x", response.text.replace(str(folder), "folder"))
    return Answer(response.status_code, media_type, masked(json.loads(text)))


def _event(text: str) -> list[Any]:
    name, _, data = text.partition("\ndata: ")
    return [name, masked(json.loads(data)) if data else None]


def masked(body: Any) -> Any:
    """A JSON body without ids that a server chose, and without times."""
    if not isinstance(body, dict):
        return body
    body = dict(body)
    if "predict_time" in body.get("metrics", {}):
        assert body["metrics"]["predict_time"] >= 0
        body["metrics"] = {**body["metrics"], "predict_time": "seconds"}
    if re.fullmatch("pred_[0-9a-f]+", str(body.get("id"))):
        body["id"] = "pred_"
    if "setup" in body:
        body.pop("version", None)
        body["setup"] = _masked_setup(body["setup"])
    return body


def _masked_setup(setup: dict[str, Any]) -> dict[str, Any]:
    times = {name: "time" for name in _MASKED_TIMES if name in setup}
    logs = {"logs": _masked_logs(setup["logs"])} if "logs" in setup else {}
    return {**setup, **times, **logs}


def _masked_logs(logs: str) -> str:
    # What its runtime says of itself in between, Cog alone can say.
    lines = [line for line in logs.splitlines(keepends=True) if not line.startswith("[coglet")]
    return re.sub(r"\(slot [0-9a-f-]+\)", "(slot)", "".join(lines))
