"""What is counted and timed of the server's own work, for Prometheus. `server.worker.exposition` adds the workers."""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Iterable
from functools import partial
from operator import attrgetter
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from server import __version__
from server.prediction import Prediction, Status
from server.schema.signature import Mode
from server.worker.messages import LocalFile

_SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)
_LONG = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_SECONDS = (*_SHORT, *_LONG)
"""Upper bounds of durations: of what takes milliseconds, and of trainings."""

_CODE = re.compile(r"[a-z][a-z\d_]{0,39}")
_MOST_CODES = 20

# Each would be one more series for every other; the restart of a process is told by its start time.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """What one server counts, in a registry of its own.

    Whatever a label may hold is known beforehand or limited here: no id, no path and no text of a client's is one.

    Attributes:
        registry: all of it, for who writes it out.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        gauge, counter = partial(Gauge, registry=registry), partial(Counter, registry=registry)
        histogram = partial(Histogram, registry=registry, buckets=_SECONDS)
        build = gauge("darkroom_build_info", "Always 1; its labels tell the version.", ("version", "python"))
        build.labels(__version__, platform.python_version()).set(1)
        self._codes: set[str] = set()

        self.http_requests = counter(
            "darkroom_http_requests_total", "HTTP requests that have been answered.", ("method", "route", "status")
        )
        self.http_seconds = histogram(
            "darkroom_http_request_duration_seconds",
            "Time from the arrival of an HTTP request to the end of its answer, which may wait for a prediction.",
            ("method", "route"),
        )
        self.http_running = gauge("darkroom_http_requests_in_flight", "HTTP requests that are being answered.")

        self.predictions = counter(
            "darkroom_predictions_total", "Predictions that have ended, by how they did.", ("kind", "state")
        )
        self.queue_seconds = histogram(
            "darkroom_prediction_queue_wait_seconds",
            "Time for which a prediction waited in the queue before its turn came.",
            ("kind",),
        )
        self.predict_seconds = histogram(
            "darkroom_prediction_duration_seconds",
            "Time for which the model worked on a prediction, without queue, inputs and outputs.",
            ("kind", "state"),
        )
        self._warnings = counter(
            "darkroom_prediction_warnings_total", "Warnings that predictions ended with, by code.", ("code",)
        )
        self.running = gauge(
            "darkroom_predictions_in_flight", "Predictions whose turn has come and which the model has not ended."
        )
        self.places = gauge("darkroom_predictions_in_flight_limit", "Predictions that can be in flight at once.")
        self.queued = gauge("darkroom_queue_length", "Predictions that wait for their turn.")
        self.queue_places = gauge(
            "darkroom_queue_length_limit", "Predictions that may wait; beyond it new ones are refused."
        )

        self.input_files = counter(
            "darkroom_input_files_total", "Files that inputs pointed to, by whether they could be had.", ("result",)
        )
        self.input_bytes = counter("darkroom_input_bytes_total", "Size of the files that were fetched for inputs.")
        self.output_files = counter(
            "darkroom_output_files_total",
            "Files that the model put out, by whether they could be passed on.",
            ("result",),
        )
        self.output_bytes = counter("darkroom_output_bytes_total", "Size of the files that were passed on as output.")
        self.webhooks = counter(
            "darkroom_webhook_requests_total",
            "Attempts to deliver a webhook: delivered, rejected (by the answer's status) or unanswered.",
            ("result",),
        )
        self.webhooks_lost = counter(
            "darkroom_webhooks_given_up_total", "Webhooks of predictions that had ended which were never delivered."
        )
        self._begin_at_zero()

    def count_start(self, prediction: Prediction) -> None:
        """A prediction has got its turn."""
        assert prediction.started_at is not None
        waited = (prediction.started_at - prediction.created_at).total_seconds()
        # The clock may have been set back.
        self.queue_seconds.labels(prediction.asked.noun).observe(max(0.0, waited))

    def count_end(self, prediction: Prediction, warnings: Iterable[str]) -> None:
        """A prediction has ended, with warnings of these codes."""
        kind, state = prediction.asked.noun, str(prediction.status)
        self.predictions.labels(kind, state).inc()
        # Of what never came to the model it is 0.
        if seconds := prediction.metrics["predict_time"]:
            self.predict_seconds.labels(kind, state).observe(seconds)
        for code in warnings:
            self._warn(code)

    def count_inputs(self, files: Collection[LocalFile]) -> None:
        """These files were fetched. Looks at the disk."""
        self.input_files.labels("fetched").inc(len(files))
        self.input_bytes.inc(sum(map(_size, files)))

    def count_outputs(self, files: Collection[LocalFile]) -> None:
        """These files were passed on. Looks at the disk."""
        self.output_files.labels("published").inc(len(files))
        self.output_bytes.inc(sum(map(_size, files)))

    def _warn(self, code: str) -> None:
        # Models choose their codes, and may make any number of them.
        is_known = code in self._codes
        if not is_known and (len(self._codes) >= _MOST_CODES or not _CODE.fullmatch(code)):
            code = "other"
        else:
            self._codes.add(code)
        self._warnings.labels(code).inc()

    def _begin_at_zero(self) -> None:
        # A series that begins with its first event hides that one from `rate` and `increase`.
        for kind in (mode.noun for mode in Mode):
            self.queue_seconds.labels(kind)
            for state in filter(attrgetter("terminal"), Status):
                self.predictions.labels(kind, state)
                self.predict_seconds.labels(kind, state)
        for files, results in ((self.input_files, ("fetched", "failed")), (self.output_files, ("published", "failed"))):
            for result in results:
                files.labels(result)
        for result in ("delivered", "rejected", "unanswered"):
            self.webhooks.labels(result)


def _size(file: LocalFile) -> int:
    try:
        return Path(file.path).stat().st_size
    except OSError:
        # A model may have removed it by now.
        return 0
