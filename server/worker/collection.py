"""The child's part of `/metrics`: what is measured in it, whatever its model does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from prometheus_client import REGISTRY, ProcessCollector
from prometheus_client.core import Metric

from server.worker.connection import ChildConnection
from server.worker.failure import summarize
from server.worker.gpu import GpuCollector
from server.worker.logs import Logs
from server.worker.messages import Collected, MetricFamily, MetricSample

_OF_THE_PROCESS = ("process_", "python_")
"""What every process tells by itself. Those without a label are the server's own."""


def install() -> None:
    """Measure the process and its GPUs, beside what the model measures in the default registry."""
    ProcessCollector(namespace="darkroom_worker")
    REGISTRY.register(GpuCollector())


def answer(connection: ChildConnection, logs: Logs) -> None:
    """Tell what is in the default registry, by a thread of its own: a model's own collector may take its time.

    Args:
        connection: who is told.
        logs: what collectors write belongs to no prediction.
    """
    threading.Thread(target=_answer, args=(connection, logs), name="darkroom-collection", daemon=True).start()


def _answer(connection: ChildConnection, logs: Logs) -> None:
    try:
        with logs.nobody():
            families = list(_families())
        connection.send(Collected(families), wait=False)
    except BaseException as error:
        connection.send(Collected(error=summarize(error)), wait=False)


def _families() -> Iterator[MetricFamily]:
    for metric in REGISTRY.collect():
        if not metric.name.startswith(_OF_THE_PROCESS):
            yield MetricFamily(metric.name, metric.documentation, metric.type, metric.unit, list(_samples(metric)))


def _samples(metric: Metric) -> Iterator[MetricSample]:
    for sample in metric.samples:
        # When it began is told once, by the start of the process.
        if sample.name != f"{metric.name}_created":
            yield MetricSample(sample.name, {k: str(v) for k, v in sample.labels.items()}, float(sample.value))
