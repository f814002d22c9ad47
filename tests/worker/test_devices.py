from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import DeviceError
from server.worker.devices import choose_devices, variables_for
from tests.gpus import machine_with, uuid


@pytest.fixture(autouse=True)
def _two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(2, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_without_a_choice_nothing_is_chosen_and_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", None)
    assert choose_devices(None, {"CUDA_VISIBLE_DEVICES": "1"}) == []


@pytest.mark.parametrize(
    ("wanted", "visible", "chosen"),
    [
        ("all", None, ["0", "1"]),
        ("all", "1", ["1"]),
        ("all", f"{uuid(1)}, 0", [uuid(1), "0"]),
        ("all", "1,-1,0", ["1"]),
        ("all", "MIG-4f2c/1/0,MIG-4f2c/2/0", ["MIG-4f2c/1/0", "MIG-4f2c/2/0"]),
        ("1", None, ["1"]),
        ("1,0", None, ["1", "0"]),
        (f"GPU-0a2b,{uuid(1)}", None, ["GPU-0a2b", uuid(1)]),
        ("MIG-4f2c/1/0,0", None, ["MIG-4f2c/1/0", "0"]),
        ("1", f"0,{uuid(1)}", ["1"]),
        ("GPU-1", "1", ["GPU-1"]),
    ],
)
def test_what_is_chosen(wanted: str, visible: str | None, chosen: list[str]) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert choose_devices(wanted, environment) == chosen


@pytest.mark.parametrize(
    ("wanted", "visible", "error"),
    [
        ("0,2", None, f"there is no GPU 2 on this machine; there is 0 ({uuid(0)}), 1 ({uuid(1)}). Name one of these"),
        ("GPU-f", None, "there is no GPU GPU-f on this machine"),
        ("GPU-", None, "there is no GPU GPU- on this machine"),
        ("all", "5", "there is no GPU 5 on this machine"),
        ("all", "", "CUDA_VISIBLE_DEVICES is set and names no GPU. Unset it"),
        ("all", "-1", "CUDA_VISIBLE_DEVICES is set and names no GPU"),
        ("all", "0,0", "0 and 0 are the same GPU. Name it once."),
        ("0,1", "1", "names the GPU 0, which CUDA_VISIBLE_DEVICES=1 hides. Name one of those, or change that variable"),
        ("0", "", "names the GPU 0, which CUDA_VISIBLE_DEVICES= hides"),
        (f"1,{uuid(1)}", None, f"1 and {uuid(1)} are the same GPU. Name it once."),
    ],
)
def test_what_cannot_be_had_is_refused(wanted: str, visible: str | None, error: str) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    with pytest.raises(DeviceError) as refused:
        choose_devices(wanted, environment)
    assert str(refused.value).startswith("--devices")
    assert error in str(refused.value)


@pytest.mark.parametrize("status", [0, 6])
def test_all_of_a_machine_without_gpus_is_refused(status: int, tmp_path: Path) -> None:
    machine_with(0, tmp_path, status=status)
    with pytest.raises(DeviceError, match=r"nvidia-smi tells of no GPU on this machine\. Install NVIDIA's driver"):
        choose_devices("all", {})


def test_all_without_nvidia_smi_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").unlink()
    with pytest.raises(DeviceError, match="nvidia-smi tells of no GPU"):
        choose_devices("all", {})


def test_names_that_cannot_be_checked_are_taken_and_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "nvidia-smi").unlink()
    assert choose_devices("0,7", {}) == ["0", "7"]
    assert "nvidia-smi does not tell which GPUs there are, so 0, 7 is taken as it is." in caplog.text
    with pytest.raises(DeviceError, match="names the GPU 7, which CUDA_VISIBLE_DEVICES=0,1 hides"):
        choose_devices("0,7", {"CUDA_VISIBLE_DEVICES": "0,1"})


def test_numbers_are_those_of_nvidia_smi_unless_the_environment_has_its_own() -> None:
    ordered = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert variables_for("1", {}) == ordered
    assert variables_for("1", {"CUDA_VISIBLE_DEVICES": "0,1"}) == {"CUDA_VISIBLE_DEVICES": "1"}
    assert variables_for("1", {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}) == {"CUDA_VISIBLE_DEVICES": "1"}
