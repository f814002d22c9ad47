from __future__ import annotations

import pytest
from pydantic import ValidationError

from server.reference import reference
from server.settings import ModelSettings, Settings, unknown_variables
from server.variables import environment_variables
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for option in Settings.model_fields:
        for variable in environment_variables(option):
            monkeypatch.delenv(variable, raising=False)


def test_the_document_is_current() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == reference(Settings, ModelSettings)


def test_every_option_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_our_variable_is_stronger_than_cogs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "7001")
    assert Settings().port == 7001
    monkeypatch.setenv("DARKROOM_PORT", "7002")
    assert Settings().port == 7002


def test_a_flag_is_stronger_than_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_PORT", "7002")
    assert Settings(port=7003).port == 7003


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_ID", "")
    assert ModelSettings().model_id is None


@pytest.mark.parametrize(("written", "devices"), [(" all ", "all"), ("0, 01", "0,1"), ("GPU-a,MIG-b", "GPU-a,MIG-b")])
def test_devices_are_written_in_one_way(written: str, devices: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_DEVICES", written)
    assert ModelSettings().devices == devices


@pytest.mark.parametrize("option", ["user_agent", "webhook_auth_token"])
def test_what_is_sent_as_a_header_can_be_one(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for written in "one\ntwo", "\x7f", "é":
        with pytest.raises(ValidationError, match="printable ASCII"):
            Settings.model_validate({option: written})
    # As it comes from a file, such as a secret of Kubernetes.
    monkeypatch.setenv(environment_variables(option)[-1], " a token\n")
    assert getattr(Settings(), option) == "a token"


@pytest.mark.parametrize(("value", "seconds"), [("0", None), ("-1", None), ("", None), ("2.5", 2.5)])
def test_no_setup_timeout_is_written_as_zero(
    value: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COG_SETUP_TIMEOUT", value)
    assert ModelSettings().setup_timeout == seconds


def test_a_setup_timeout_that_is_no_number_is_no_limit_and_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("COG_SETUP_TIMEOUT", "soon")
    assert ModelSettings().setup_timeout is None
    assert "'soon' is not a number of seconds" in caplog.text


@pytest.mark.parametrize(("written", "level"), [("WARN", "warning"), ("Info", "info"), ("trace", "debug")])
def test_log_levels_are_read_in_cogs_spelling(written: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COG_LOG_LEVEL", written)
    assert ModelSettings().log_level == level


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "http"),
        ("QUEUE_SIZE", "-1"),
        ("MAX_CONCURRENCY", "0"),
        ("LOG_LEVEL", "loud"),
        ("UPLOAD_URL", "ftp://a/b"),
        ("DEVICES", ","),
        ("DEVICES", "0,"),
        ("DEVICES", "0,all"),
        ("DEVICES", "-1"),
        ("DEVICES", "cuda:0"),
        ("DEVICES", "1, 01"),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused(option: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"DARKROOM_{option}", value)
    with pytest.raises(ValidationError, match=f"DARKROOM_{option}"):
        Settings()


@pytest.mark.parametrize(
    ("variable", "value", "option", "used"),
    [
        ("COG_MAX_CONCURRENCY", "0", "max_concurrency", 1),
        ("COG_MAX_CONCURRENCY", "many", "max_concurrency", 1),
        ("COG_STREAM_HISTORY_CAPACITY", "-1", "stream_history", 1024),
        ("COG_THROTTLE_RESPONSE_INTERVAL", "often", "webhook_interval", 0.5),
        ("COG_LOG_LEVEL", "loud", "log_level", "info"),
    ],
)
def test_a_variable_of_cogs_that_cannot_be_used_is_reported_and_cogs_default_used(
    variable: str,
    value: str,
    option: str,
    used: object,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(Settings(), option) == used
    assert f"{variable} is {value!r}, which cannot be used" in caplog.text


def test_a_flag_is_checked_beside_a_variable_of_cogs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COG_MAX_CONCURRENCY", "2")
    with pytest.raises(ValidationError, match="max_concurrency"):
        Settings(max_concurrency=0)


def test_ours_are_checked_beside_those_of_cog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COG_STREAM_HISTORY_CAPACITY", "-1")
    monkeypatch.setenv("DARKROOM_PORT", "http")
    with pytest.raises(ValidationError, match="DARKROOM_PORT"):
        Settings()


def test_a_misspelt_variable_is_found() -> None:
    environment = {"DARKROOM_PROT": "80", "DARKROOM_PORT": "80", "PATH": "/bin"}
    assert unknown_variables(environment) == ["DARKROOM_PROT"]
