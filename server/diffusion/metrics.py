"""What the engine counts and times, in the default registry of prometheus_client, for whoever writes that out.

The library is one of the server's. Where a model runs without the server it may be missing; then nothing is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.diffusion.passes import Pass


def _nothing(*_: object) -> None:
    pass


count_pass: Callable[[Pass], None] = _nothing
"""Called with each forward pass."""

count_image: Callable[[], None] = _nothing
"""Called for each picture that was made."""

if find_spec("prometheus_client"):
    from prometheus_client import Counter, Histogram

    _ROWS = (1, 2, 4, 8, 16, 32, 64)
    _SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

    _seconds = Histogram(
        "darkroom_engine_pass_duration_seconds",
        "Time that the device took for one forward pass of a part of the model (module), run eagerly, replayed from a "
        "recording (graph), or compiled and replayed.",
        ("module", "kind"),
        buckets=_SECONDS,
    )
    _rows = Histogram(
        "darkroom_engine_pass_rows",
        "Rows of one forward pass, its batch size: a picture is one row, or two where guidance needs them.",
        ("module",),
        buckets=_ROWS,
    )
    _requests = Histogram(
        "darkroom_engine_pass_requests",
        "Pictures of any requests that shared one forward pass.",
        ("module",),
        buckets=_ROWS,
    )
    _images = Counter("darkroom_engine_images_total", "Pictures that were made.")
    count_image = _images.inc

    def _count_pass(made: Pass) -> None:
        _seconds.labels(made.component, made.kind).observe(made.seconds)
        _rows.labels(made.component).observe(made.rows)
        _requests.labels(made.component).observe(made.requests)

    count_pass = _count_pass
