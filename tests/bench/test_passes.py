from __future__ import annotations

import pytest

from bench import passes
from bench.passes import Pass


def _pass(component: str, started: float, seconds: float, requests: int = 1, padded_rows: int | None = None) -> Pass:
    rows = 2 * requests
    return Pass(component, "graph", requests, rows, padded_rows or rows, started, seconds)


def test_the_device_is_busy_while_it_makes_passes() -> None:
    made = [_pass("unet", 10, 1), _pass("unet", 11.5, 1), _pass("vae.decode", 13, 1)]
    assert passes.busy_share(made) == pytest.approx(3 / 4)
    assert passes.busy_share([]) == 0


def test_only_passes_that_were_made_within_count() -> None:
    made = [_pass("unet", 0, 1), _pass("unet", 1, 1), _pass("unet", 2, 1)]
    assert passes.within(made, 0.5, 2.5) == made[1:2]


def test_denoising_steps_are_those_of_unets_and_transformers() -> None:
    made = [_pass("unet", 0, 0.1, 2), _pass("transformer", 0, 0.3, 4), _pass("vae.decode", 0, 9.0, 8)]
    assert passes.step_seconds(made) == pytest.approx(0.2)
    assert passes.shared_by(made) == 3
    assert passes.shared_by([]) == 0


def test_passes_are_told_by_size_and_padded_ones_do_not_say_what_a_request_costs() -> None:
    made = [
        _pass("unet", 0, 0.010, requests=1),
        _pass("unet", 0, 0.014, requests=1),
        _pass("unet", 0, 0.016, requests=2),
        _pass("unet", 0, 0.030, requests=3, padded_rows=8),
    ]
    one, two, padded = passes.by_size(made)
    assert (one["padded_rows"], one["passes"], one["ms"], one["ms_per_request"]) == (2, 2, pytest.approx(12), 12)
    assert (two["padded_rows"], two["ms_per_request"]) == (4, pytest.approx(8))
    assert (padded["padded_rows"], padded["ms_per_request"]) == (8, None)


def test_the_ceiling_is_what_the_passes_alone_allow() -> None:
    made = [
        _pass("unet", 0, 0.010, requests=1),
        _pass("unet", 0, 0.016, requests=2),
        _pass("vae.decode", 0, 0.100, requests=1),
        _pass("vae.decode", 0, 0.160, requests=2),
        _pass("text_encoder", 0, 0.020, requests=1),
    ]
    ceilings = passes.ceilings(passes.by_size(made), steps=10)
    assert ceilings == {2: pytest.approx(1 / (0.1 + 0.08 + 0.02)), 4: pytest.approx(1 / (0.08 + 0.08 + 0.02))}
