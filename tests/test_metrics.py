from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric

import server.diffusion.metrics  # noqa: F401 - it adds to REGISTRY
from server.metrics import Metrics
from server.prediction import Prediction
from server.worker.exposition import families_of
from server.worker.gpu import GpuCollector
from server.worker.messages import Canceled, LocalFile, Succeeded
from tests.conftest import ROOT


def documented() -> dict[str, str]:
    """The table of docs/operations.md: the labels of each metric, by its name."""
    section = (ROOT / "docs" / "operations.md").read_text().partition("## Metrics\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([a-z_*]+)` \| (.*?) ?\| ", section, re.MULTILINE))


def shown_names(families: Iterable[Metric]) -> Iterator[str]:
    """The names of families, as they are written out."""
    for family in families:
        yield f"{family.name}_total" if family.type == "counter" else family.name


def all_names() -> set[str]:
    """The name of every metric that the code has."""
    engine = (family for family in REGISTRY.collect() if family.name.startswith("darkroom_engine_"))
    processes = ProcessCollector(namespace="darkroom_worker", registry=None).collect()
    sources = (Metrics().registry.collect(), families_of([]), engine, GpuCollector().describe(), processes)
    return {name for families in sources for name in shown_names(families)}


def test_the_documentation_tells_of_each_metric_and_of_no_other() -> None:
    patterns = [name.removesuffix("*") for name in documented() if name.endswith("*")]
    names = {next((f"{start}*" for start in patterns if name.startswith(start)), name) for name in all_names()}
    assert names == set(documented())


def ended(end: Succeeded | Canceled) -> Prediction:
    prediction = Prediction("p")
    prediction.start()
    prediction.apply(end)
    return prediction


def test_a_model_can_make_no_more_than_twenty_series_of_warnings() -> None:
    metrics = Metrics()
    codes = ["rounded", "Not a code", "", "x" * 41, *(f"code_{number}" for number in range(30)), "rounded"]
    metrics.count_end(ended(Succeeded("p", 1.0)), codes)
    counted = {
        sample.labels["code"]: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "darkroom_prediction_warnings_total"
    }
    assert counted == {"rounded": 2, **{f"code_{number}": 1 for number in range(19)}, "other": 3 + 11}


def test_what_never_came_to_the_model_has_no_duration() -> None:
    metrics = Metrics()
    metrics.count_end(ended(Canceled("p", 0.0)), [])
    labels = {"kind": "prediction", "state": "canceled"}
    assert metrics.registry.get_sample_value("darkroom_predictions_total", labels) == 1
    assert metrics.registry.get_sample_value("darkroom_prediction_duration_seconds_count", labels) == 0


def test_a_file_that_is_gone_has_no_size() -> None:
    metrics = Metrics()
    metrics.count_outputs([LocalFile(str(ROOT / "absent")), LocalFile(str(ROOT / "LICENSE"))])
    assert metrics.registry.get_sample_value("darkroom_output_files_total", {"result": "published"}) == 2
    size = (ROOT / "LICENSE").stat().st_size
    assert metrics.registry.get_sample_value("darkroom_output_bytes_total") == size


def test_two_servers_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.webhooks_lost.inc()
    assert one.registry.get_sample_value("darkroom_webhooks_given_up_total") == 1
    assert other.registry.get_sample_value("darkroom_webhooks_given_up_total") == 0
    assert isinstance(one.registry, CollectorRegistry)
