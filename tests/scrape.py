"""What a server tells Prometheus, as the tests read it."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Server


@dataclass
class Scrape:
    """One answer of `/metrics`.

    Attributes:
        text: all of it.
        families: what it tells, by name; counters without `_total`.
    """

    text: str
    families: dict[str, Metric]

    def value(self, name: str, **labels: str) -> float:
        """The value of the one sample that has these labels, among others; 0 where there is none."""
        found = [
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert len(found) <= 1, f"{name}{labels}: {found}"
        return found[0] if found else 0.0

    def label_values(self, name: str, label: str) -> set[str]:
        """What the label holds in the samples of this name."""
        samples = (sample for family in self.families.values() for sample in family.samples if sample.name == name)
        return {sample.labels[label] for sample in samples}


def scrape(server: Server) -> Scrape:
    """Ask a server once."""
    response = server.client.get("/metrics")
    assert response.status_code == 200
    return Scrape(response.text, {family.name: family for family in text_string_to_metric_families(response.text)})


def openmetrics_families(text: str) -> set[str]:
    """The names of the families in a text of OpenMetrics, counters without `_total`.

    Raises:
        ValueError: it is none.
    """
    return {family.name for family in openmetrics.text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
