import pytest

from server.diffusion.errors import InputError
from server.diffusion.warnings import WarningCode, Warnings


def test_a_warning_is_kept_once_and_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    warnings = Warnings()
    for _ in range(2):
        warnings.add(WarningCode.ROUNDED, "width", "65 became 64.")
    warnings.add(WarningCode.DEGRADED, None, "It took longer.")
    assert warnings.to_list() == [
        {"code": "rounded", "input": "width", "message": "65 became 64."},
        {"code": "degraded", "input": None, "message": "It took longer."},
    ]
    assert capsys.readouterr().err == "Warning: width: 65 became 64.\nWarning: It took longer.\n"


def test_a_strict_request_is_refused_instead() -> None:
    warnings = Warnings(strict=True)
    with pytest.raises(InputError, match=r"^width: 65 became 64\.$") as refused:
        warnings.add(WarningCode.ROUNDED, "width", "65 became 64.")
    assert refused.value.input == "width"
    assert warnings.to_list() == []


def test_what_is_about_no_input_is_not_refused() -> None:
    warnings = Warnings(strict=True)
    warnings.add(WarningCode.DEGRADED, None, "It took longer.")
    assert len(warnings.to_list()) == 1
