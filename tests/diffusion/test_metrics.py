from __future__ import annotations

import subprocess
import sys

from prometheus_client import REGISTRY

from server.diffusion.metrics import count_image, count_pass
from server.diffusion.passes import Pass
from tests.conftest import ROOT


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"darkroom_engine_{name}", labels) or 0.0


def test_passes_and_images_are_counted() -> None:
    labels = {"module": "transformer"}
    names = ("pass_duration_seconds_count", "pass_duration_seconds_sum")
    before = [value(name, **labels, kind="graph") for name in names]
    rows, requests, images = (
        value("pass_rows_sum", **labels),
        value("pass_requests_sum", **labels),
        value("images_total"),
    )
    count_pass(Pass("transformer", requests=3, rows=6, padded_rows=8, kind="graph", started=1.0, seconds=0.25))
    count_image()
    after = [value(name, **labels, kind="graph") for name in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 0.25]
    assert value("pass_rows_sum", **labels) - rows == 6
    assert value("pass_requests_sum", **labels) - requests == 3
    assert value("images_total") - images == 1


def test_nothing_is_counted_where_the_library_is_missing() -> None:
    code = (
        "import sys\n"
        "sys.modules['prometheus_client'] = None\n"
        "from server.diffusion.metrics import count_image, count_pass\n"
        "count_image()\n"
        "count_pass(None)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
