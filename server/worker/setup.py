"""How setting up went, as `/health-check` tells it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

MAX_LOG_LENGTH = 1 << 20
"""How many characters of log are kept, about; the last ones."""


@dataclass(frozen=True)
class SetupReport:
    """One attempt to set the model up.

    Attributes:
        status: where it is.
        started_at: when its process was started, in UTC.
        completed_at: when it succeeded or failed.
        logs: what the model wrote; of a failure the traceback, or the reason, as well.
        error: one line that says why it failed.
    """

    status: Literal["starting", "succeeded", "failed"]
    started_at: datetime
    completed_at: datetime | None = None
    logs: str = ""
    error: str | None = None


def joined(reports: Mapping[str, SetupReport]) -> SetupReport:
    """Several attempts as one: it has succeeded where one of them has, and failed where all have.

    Args:
        reports: by device, one at least; the logs say which text is of which.
    """
    succeeded = [report for report in reports.values() if report.status == "succeeded"]
    started_at = min(report.started_at for report in reports.values())
    logs = "".join(f"Device {device}:\n{report.logs.rstrip()}\n" for device, report in reports.items() if report.logs)
    if succeeded:
        completed_at = min(report.completed_at for report in succeeded if report.completed_at)
        return SetupReport("succeeded", started_at, completed_at, logs)
    if any(report.status == "starting" for report in reports.values()):
        return SetupReport("starting", started_at, logs=logs)
    completed_at = max(report.completed_at for report in reports.values() if report.completed_at)
    # Most often it is the same everywhere.
    errors = dict.fromkeys(report.error for report in reports.values() if report.error)
    return SetupReport("failed", started_at, completed_at, logs, "; ".join(errors))


class Setup:
    """An attempt to set the model up, while it goes on."""

    def __init__(self) -> None:
        self._started_at = datetime.now(UTC)
        self._outcome: SetupReport | None = None
        self._texts: deque[str] = deque()
        self._length = 0
        self._dropped = 0

    @property
    def report(self) -> SetupReport:
        """How it goes, or went."""
        return self._outcome or SetupReport("starting", self._started_at, logs=self._logs())

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return round(((self.report.completed_at or datetime.now(UTC)) - self._started_at).total_seconds(), 3)

    def log(self, text: str) -> None:
        """Add to the logs; the earliest are dropped where they get too long."""
        self._texts.append(text)
        self._length += len(text)
        while self._length > MAX_LOG_LENGTH and len(self._texts) > 1:
            dropped = len(self._texts.popleft())
            self._length -= dropped
            self._dropped += dropped

    def succeed(self) -> None:
        """Say that the model is ready."""
        self._outcome = SetupReport("succeeded", self._started_at, datetime.now(UTC), self._logs())

    def fail(self, error: str) -> None:
        """Say that it is not, and why. The logs end with the reason, if they did not before."""
        logs = self._logs()
        if error not in logs:
            logs += f"{error}\n"
        self._outcome = SetupReport("failed", self._started_at, datetime.now(UTC), logs, error)

    def _logs(self) -> str:
        note = f"[the first {self._dropped} characters were dropped]\n" if self._dropped else ""
        return note + "".join(self._texts)
