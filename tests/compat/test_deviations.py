"""The list of deviations: complete, shown by tests, and published."""

from __future__ import annotations

import pytest

# Imported for what its tests show.
import tests.compat.test_narrowing
import tests.compat.test_sequences  # noqa: F401
from tests.compat.case import load_cases
from tests.compat.deviations import Deviation, page, shown
from tests.conftest import ROOT


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "compatibility.md").read_text() == page()


@pytest.mark.parametrize("deviation", Deviation)
def test_every_deviation_is_shown(deviation: Deviation) -> None:
    of_cases = {request.because for case in load_cases() for request in case.requests}
    if deviation.value.elsewhere:
        assert (ROOT / deviation.value.elsewhere).exists()
    else:
        assert deviation in of_cases | shown
