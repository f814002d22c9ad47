"""What is measured of the workers, and what was measured in their children, as families of Prometheus."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from server.worker.backend import WorkerState
from server.worker.messages import MetricFamily
from server.worker.worker import Worker


class _State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DEFUNCT = "defunct"
    SETUP_FAILED = "setup_failed"
    STOPPED = "stopped"


def families_of(workers: Collection[Worker]) -> Iterator[Metric]:
    """Everything that the server itself knows of its workers, each with its device as a label."""
    state = GaugeMetricFamily(
        "darkroom_worker_state",
        "1 for the state that the model's process is in, 0 for all others. In starting the model is set up, for the "
        "first time or again; defunct is one that died and could not be replaced, which is tried again.",
        labels=("device", "state"),
    )
    running = GaugeMetricFamily(
        "darkroom_worker_predictions", "Predictions that the model's process works on.", labels=("device",)
    )
    restarts = CounterMetricFamily(
        "darkroom_worker_restarts",
        "Processes of the model that died after it had been ready and were replaced.",
        labels=("device",),
    )
    setups = CounterMetricFamily(
        "darkroom_worker_setups", "Attempts to set the model up that have ended.", labels=("device", "result")
    )
    seconds = GaugeMetricFamily(
        "darkroom_worker_setup_duration_seconds",
        "Time that the latest attempt to set the model up has taken, up to now if it goes on.",
        labels=("device",),
    )
    answered = GaugeMetricFamily(
        "darkroom_worker_metrics_success",
        "Whether the model's process answered, within a second, when it was asked for its metrics for this scrape. "
        "If not (0), its metrics are those that it told last.",
        labels=("device",),
    )
    told_at = GaugeMetricFamily(
        "darkroom_worker_metrics_timestamp_seconds",
        "When the model's process told the metrics that are shown, in seconds since 1970; 0 if it never has.",
        labels=("device",),
    )
    for device, worker in _labelled(workers):
        now = _state_of(worker)
        for one in _State:
            state.add_metric([device, one], one is now)
        running.add_metric([device], worker.running)
        restarts.add_metric([device], worker.restarts)
        for result in ("succeeded", "failed"):
            setups.add_metric([device, result], worker.setups[result])
        seconds.add_metric([device], worker.setup_seconds)
        answered.add_metric([device], worker.measurements.answered)
        told_at.add_metric([device], worker.measurements.told_at)
    yield from (state, running, restarts, setups, seconds, answered, told_at)


def families_in(workers: Collection[Worker]) -> Iterator[Metric]:
    """What the children told last, those of one name together.

    Each sample gets its device as a label; one that had such a label before has it as `exported_device`, as Prometheus
    itself does it. Of two devices that disagree on what a name means, the first is right.
    """
    joined: dict[str, Metric] = {}
    for device, worker in _labelled(workers):
        for family in worker.measurements.families:
            metric = joined.setdefault(family.name, _empty(family))
            if metric.type == family.type:
                for sample in family.samples:
                    metric.add_sample(sample.name, _with_device(sample.labels, device), sample.value)
    yield from joined.values()


def _labelled(workers: Collection[Worker]) -> Iterator[tuple[str, Worker]]:
    for index, worker in enumerate(workers):
        yield worker.device or str(index), worker


def _with_device(labels: dict[str, str], device: str) -> dict[str, str]:
    kept = {"exported_device" if name == "device" else name: value for name, value in labels.items()}
    return {**kept, "device": device}


def _empty(family: MetricFamily) -> Metric:
    return Metric(family.name, family.help, family.type, family.unit)


def _state_of(worker: Worker) -> _State:
    match worker.state:
        case WorkerState.STARTING if worker.setup.status == "failed":
            return _State.DEFUNCT
        case state:
            return _State(state)
