from __future__ import annotations

import pytest

from server.worker.measurements import Measurements
from server.worker.messages import Collected, MetricFamily

FAMILIES = [MetricFamily("cats", "Cats.", "gauge", "", [])]


def test_what_was_told_last_stays(caplog: pytest.LogCaptureFixture) -> None:
    measurements = Measurements()
    measurements.take(Collected(FAMILIES), None, is_ready=True)
    told_at = measurements.told_at
    assert (measurements.families, measurements.answered) == (FAMILIES, True)
    measurements.take(Collected(error="no answer"), None, is_ready=True)
    assert (measurements.families, measurements.answered, measurements.told_at) == (FAMILIES, False, told_at)
    measurements.take(Collected(), None, is_ready=True)
    measurements.miss()
    assert (measurements.families, measurements.answered) == ([], False)
    assert len(caplog.records) == 1


def test_an_error_is_logged_once_and_only_of_a_child_that_is_ready(caplog: pytest.LogCaptureFixture) -> None:
    measurements = Measurements()
    for is_ready, error in ((False, "a"), (True, "a"), (True, "a"), (True, "b"), (True, None), (True, "b")):
        measurements.take(Collected(error=error), "1", is_ready=is_ready)
    reasons = [(record.__dict__["device"], record.__dict__["reason"]) for record in caplog.records]
    assert reasons == [("1", "a"), ("1", "b"), ("1", "b")]
