from __future__ import annotations

import pytest

from server.errors import PredictorNotFound
from server.worker.failure import input_fault, summarize, trace
from server.worker.messages import InputFault


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


# As Cog writes them.
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("bad thing"), "ValueError: bad thing"),
        (ValueError(), "ValueError: "),
        (KeyError("k"), "KeyError: 'k'"),
        (SystemExit(3), "SystemExit: 3"),
        (ValueError("two\nlines"), "ValueError: two\nlines"),
        (BrokenError(), "BrokenError: <exception str() failed>"),
        (ValueError("\ud800"), "ValueError: \ufffd\ufffd\ufffd"),  # as Cog sends it
        (PredictorNotFound("There is no file x."), "There is no file x."),
    ],
)
def test_summary(error: BaseException, text: str) -> None:
    assert summarize(error) == text


def test_the_trace_begins_where_the_models_code_does() -> None:
    def predict() -> None:
        raise ValueError("bad thing")

    try:
        predict()
    except ValueError as error:
        ((place, what),) = trace(error)
    assert place.startswith("Traceback (most recent call last):\n")
    assert "in predict" in place
    assert what == "ValueError: bad thing\n"


def test_our_own_errors_need_no_trace() -> None:
    assert trace(PredictorNotFound("There is no file x.")) == (("", "There is no file x.\n"),)


class InputError(Exception):
    """As authors write it."""

    def __init__(self, input: object, message: str) -> None:
        super().__init__(message)
        self.input = input


class BrokenInputError(Exception):
    @property
    def input(self) -> str:
        raise RuntimeError("no name")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (InputError("width", "width: 100 is too wide"), InputFault("width", "100 is too wide")),
        (InputError("width", "100 is too wide"), InputFault("width", "100 is too wide")),
        (InputError("width", "half \ud800"), InputFault("width", "half \ufffd\ufffd\ufffd")),
        (InputError("width", ""), InputFault("width", "InputError: ")),
        (InputError("depth", "no such input"), None),
        (InputError("", "no input"), None),
        (InputError(None, "no name"), None),
        (InputError(["width"], "no name"), None),
        (BrokenInputError(), None),
        (ValueError("bad thing"), None),
    ],
)
def test_an_exception_may_name_the_input_at_fault(error: BaseException, fault: InputFault | None) -> None:
    assert input_fault(error, {"width", "height"}) == fault
