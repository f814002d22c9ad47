"""Records as rows of a database."""

from __future__ import annotations

import json
import logging
import sqlite3
from datetime import UTC, datetime
from typing import Any

import msgspec

from server.prediction import Status
from server.schema.signature import Mode
from server.store.store import VALUES, Record

logger = logging.getLogger(__name__)

OMITTED = b""
"""What is written in place of a value that is left out; no JSON is this short."""

_MOST_BYTES = 300_000_000
"""The largest value that is kept: SQLite takes rows of 10^9 bytes, and two of these share one."""

_TIMES = ("created_at", "started_at", "completed_at")


def to_row(record: Record, *, with_input: bool) -> dict[str, Any]:
    """The columns of a record: values as JSON, times as text that sorts as they do; input only if asked for."""
    row: dict[str, Any] = {
        "number": record.number,
        "id": record.id,
        "asked": record.asked.value,
        "status": record.status.value,
    }
    row |= {name: to_text(getattr(record, name)) for name in _TIMES}
    row |= {name: _encoded(record, name) for name in VALUES if name != "input" or with_input}
    return row


def from_row(row: sqlite3.Row) -> Record:
    """The record of which these are the columns."""
    created_at = datetime.fromisoformat(row["created_at"])
    values = {name: VALUES[name] if row[name] in (None, OMITTED) else _decoded(row[name]) for name in VALUES}
    return Record(
        number=row["number"],
        id=row["id"],
        asked=Mode(row["asked"]),
        status=Status(row["status"]),
        **values,
        has_output=row["output"] is not None,
        created_at=created_at,
        started_at=_to_time(row["started_at"]),
        completed_at=_to_time(row["completed_at"]),
        omitted=frozenset(name for name in VALUES if row[name] == OMITTED),
    )


def to_text(moment: datetime | None) -> str | None:
    """Text that sorts as the times do."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")


def _to_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _encoded(record: Record, name: str) -> bytes | None:
    value = getattr(record, name)
    if name in record.omitted:
        return OMITTED
    if (name == "output" and not record.has_output) or (name == "error" and value is None):
        return None
    try:
        encoded = _json(value)
    except (TypeError, ValueError, RecursionError) as error:
        logger.warning("The %s of prediction %s is not kept, because it is no JSON: %s", name, record.id, error)
        return OMITTED
    if len(encoded) > _MOST_BYTES:
        logger.warning("The %s of prediction %s is not kept: it takes %d bytes.", name, record.id, len(encoded))
        return OMITTED
    return encoded


def _json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        # JSON can name half a surrogate pair, UTF-8 cannot.
        return json.dumps(value).encode()


def _decoded(encoded: bytes) -> Any:
    try:
        return msgspec.json.decode(encoded)
    except msgspec.DecodeError:
        return json.loads(encoded)
