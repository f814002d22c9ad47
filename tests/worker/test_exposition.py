from __future__ import annotations

from pathlib import Path

from server.worker.exposition import families_in, families_of
from server.worker.messages import Collected, MetricFamily, MetricSample
from server.worker.worker import Worker


def worker(device: str | None, *families: MetricFamily) -> Worker:
    """A worker that has not been started, whose child is made out to have told this."""
    made = Worker("predict.py:Predictor", Path(), environment={}, device=device)
    made.measurements.take(Collected(list(families)), device, is_ready=True)
    return made


def cats(type_: str, value: float, **labels: str) -> MetricFamily:
    return MetricFamily("cats", "Cats.", type_, "", [MetricSample("cats", labels, value)])


def test_one_name_on_several_devices_is_one_family() -> None:
    (family,) = families_in([worker("0", cats("gauge", 1, paw="left")), worker("1", cats("gauge", 2))])
    assert (family.name, family.documentation, family.type) == ("cats", "Cats.", "gauge")
    assert [(sample.labels, sample.value) for sample in family.samples] == [
        ({"paw": "left", "device": "0"}, 1),
        ({"device": "1"}, 2),
    ]


def test_a_device_that_means_something_else_by_a_name_is_left_out() -> None:
    (family,) = families_in([worker("0", cats("gauge", 1)), worker("1", cats("unknown", 2))])
    assert [sample.value for sample in family.samples] == [1]


def test_a_label_that_the_model_has_keeps_its_value() -> None:
    (family,) = families_in([worker(None, cats("gauge", 1, device="paw"))])
    assert family.samples[0].labels == {"device": "0", "exported_device": "paw"}


def test_a_device_that_was_not_started_is_starting() -> None:
    state = next(family for family in families_of([worker("7")]) if family.name == "darkroom_worker_state")
    assert {sample.labels["state"]: sample.value for sample in state.samples if sample.value} == {"starting": 1}
    assert {sample.labels["device"] for sample in state.samples} == {"7"}
