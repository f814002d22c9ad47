"""The spans that a child makes, as its parent hears of them."""

from __future__ import annotations

import time

import msgspec

from server.tracing import Tracing
from server.worker.messages import SpanReport


class Reports:
    """Passes on the spans of one child, and those that it has not ended when it is gone as well.

    Args:
        tracing: where they go.
    """

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._open: dict[str, SpanReport] = {}

    def take(self, report: SpanReport) -> None:
        """Take in that a span has begun, or ended."""
        if report.ended is None:
            self._open[report.span_id] = report
        else:
            self._open.pop(report.span_id, None)
            self._tracing.take(report)

    def end(self) -> None:
        """Say that the child is gone: what it has not ended has failed."""
        for report in self._open.values():
            attributes = {**report.attributes, "error.type": "process_ended"}
            self._tracing.take(msgspec.structs.replace(report, ended=time.time_ns(), error=True, attributes=attributes))
        self._open.clear()
