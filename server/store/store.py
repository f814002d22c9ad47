"""What is kept of a prediction, and what a place that keeps them has to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol, Self

from server.errors import InvalidRequest, Violation
from server.prediction import Prediction, Status
from server.schema.operations import CURSOR_PATTERN
from server.schema.signature import Mode

MOST_IN_LIST = 1 << 14
"""The largest value of a record, in about bytes of JSON, that is told where records are listed."""

INTERRUPTED = "The server stopped before this prediction ended. Send it again."
"""The error of a prediction whose server is gone."""

_MOST_LOOKED_AT = 10_000

VALUES: Mapping[str, Any] = MappingProxyType({"input": {}, "output": None, "logs": "", "error": None, "metrics": {}})
"""The values of a record that may be too large, and what stands for one that was left out."""


@dataclass(frozen=True)
class Record:
    """A prediction as it was at one moment. Nothing in it changes any more.

    Attributes:
        number: its place in the order of creation; unique, and larger than that of every prediction made before.
        id: what its client calls it; one id may stand for several predictions, of which at most one has not ended.
        input: what the client sent, without secrets.
        has_output: whether anything was put out (`None` is a value).
        omitted: which of `VALUES` are left out here because they are too large.

    The others are those of a `Prediction`.
    """

    number: int
    id: str
    asked: Mode
    status: Status
    input: dict[str, Any]
    output: Any
    has_output: bool
    logs: str
    error: str | None
    metrics: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    omitted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, number: int, prediction: Prediction, input: dict[str, Any]) -> Self:
        """The present state of a prediction; `input` is its input without secrets."""
        return cls(
            number=number,
            id=prediction.id,
            asked=prediction.asked,
            status=prediction.status,
            input=input,
            # A list may grow by further pieces; what is in it stays as it is.
            output=list(prediction.output) if isinstance(prediction.output, list) else prediction.output,
            has_output=prediction.has_output,
            logs=prediction.logs,
            error=prediction.error,
            metrics=deepcopy(prediction.metrics),
            created_at=prediction.created_at,
            started_at=prediction.started_at,
            completed_at=prediction.completed_at,
        )

    def brief(self) -> Self:
        """The same without what is too large for a list."""
        large = {name for name in VALUES if weight(getattr(self, name), MOST_IN_LIST) > MOST_IN_LIST}
        return replace(self, **{name: VALUES[name] for name in large}, omitted=self.omitted | large)

    def to_dict(self) -> dict[str, Any]:
        """JSON: what a prediction tells everywhere, its input and its times; what it does not have is left out."""
        state: dict[str, Any] = {
            "id": self.id,
            "status": self.status,
            "input": self.input,
            "logs": self.logs,
            "metrics": self.metrics,
        }
        if self.has_output:
            state["output"] = self.output
        if self.error is not None:
            state["error"] = self.error
        for name in ("created_at", "started_at", "completed_at"):
            if (moment := getattr(self, name)) is not None:
                state[name] = moment.isoformat()
        if self.omitted:
            state = {name: value for name, value in state.items() if name not in self.omitted}
            state["omitted"] = sorted(self.omitted)
        return state


@dataclass(frozen=True)
class Cursor:
    """A place between two predictions in the order of creation, and a direction. As text it is opaque to clients.

    Attributes:
        number: that of the prediction next to the place.
        newer: whether it leads to those made after that one, instead of to those made before.
    """

    number: int
    newer: bool = False

    def covers(self, number: int) -> bool:
        """Whether it leads to this one."""
        return number > self.number if self.newer else number < self.number

    def __str__(self) -> str:
        return f"{'n' if self.newer else 'o'}{self.number:x}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor that became this text.

        Raises:
            InvalidRequest: none did.
        """
        if _CURSOR.fullmatch(text):
            return cls(int(text[1:], 16), newer=text[0] == "n")
        rule = "the cursor is none of this server: take it from `next` or `previous` of a page, or leave it out"
        raise InvalidRequest([Violation(("query", "cursor"), rule)])


_CURSOR = re.compile(CURSOR_PATTERN)


class PredictionStore(Protocol):
    """Keeps records. Nothing here blocks the event loop; every operation raises `StoreError` where it fails.

    When it is opened, those that have not ended belong to a server that is gone: they become failed, `INTERRUPTED`.

    Attributes:
        newest: the largest number that it held when it was opened, or 0.
    """

    newest: int

    async def save(self, records: Sequence[Record]) -> None:
        """Keep them all or none, each in place of what was kept under its number before.

        A value too large for the store is left out, and named in the record's `omitted` when it comes back. The input
        of a record that is kept already is not looked at: it cannot have changed.
        """

    async def get(self, id: str) -> Record | None:
        """The newest of this id."""

    async def page(self, cursor: Cursor, limit: int, asked: Mode = Mode.PREDICT) -> list[Record]:
        """Up to `limit` records on the cursor's side, next to it; newest first, and as `Record.brief` has them.

        They are of predictions, or of trainings if that is `asked`.
        """

    async def purge(self, ended_before: datetime) -> None:
        """Remove what ended before that time."""

    async def close(self) -> None:
        """Give everything back; all that is asked for from now on fails. Harmless when repeated."""


def weight(value: Any, most: int) -> int:
    """About how many bytes JSON takes as text; where that is more than `most`, any number above it.

    Of a value with very many parts only some are looked at, and the others taken to be like them.
    """
    total = looked_at = 0
    waiting = [value]
    while waiting and total <= most:
        if looked_at == _MOST_LOOKED_AT:
            return total * (looked_at + len(waiting)) // looked_at
        looked_at += 1
        match waiting.pop():
            case str(text):
                total += len(text) + 3
            case list(items):
                total += 3
                waiting += items
            case dict(items):
                total += 3
                waiting += items.keys()
                waiting += items.values()
            case _:
                total += 5
    return total
