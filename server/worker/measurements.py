"""What a child last told of its measurements."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from server.worker.messages import Collected, MetricFamily

logger = logging.getLogger(__name__)


class Measurements:
    """The latest that there is. What a child told stays until it, or the one that replaces it, tells something else.

    Attributes:
        families: the measurements.
        told_at: when they were told, in seconds since 1970; 0 before the first time.
        answered: whether the child answered when it was asked last.
    """

    def __init__(self) -> None:
        self.families: Sequence[MetricFamily] = ()
        self.told_at = 0.0
        self.answered = False
        self._error: str | None = None

    def take(self, collected: Collected, device: str | None, *, is_ready: bool) -> None:
        """Take in an answer. An error is logged when it is a new one, of a child that is ready: others are busy."""
        if collected.error is None:
            self.families, self.told_at, self.answered = collected.families, time.time(), True
        else:
            self.miss()
            if is_ready and collected.error != self._error:
                facts = {"device": device, "reason": collected.error}
                logger.warning("Model's process did not tell its metrics", extra=facts)
        self._error = collected.error if is_ready else None

    def miss(self) -> None:
        """Note that there was no answer."""
        self.answered = False
