from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from bench.gpu import GpuUse, Sample, first_gpu, parse
from bench.report import Report, machine, read


def test_measurements_are_added_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(tmp_path / "new" / "results.json")
    report.add("http", "emoji", {"callers": 8, "p50": 1.23456})
    report.add("http", "emoji", {"callers": 16, "p50": 2.0})
    runs = read(report.path)
    assert [run["callers"] for run in runs] == [8, 16]
    assert runs[0]["machine"]["torch"] == machine()["torch"]
    assert runs[0]["date"].endswith("+00:00")
    assert "callers 8  p50 1.235" in capsys.readouterr().out
    assert [path.name for path in report.path.parent.iterdir()] == ["results.json"]


def test_what_cannot_be_kept_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Report(tmp_path / "file" / "results.json").add(
            "together", "emoji", {"alone": [9.6, 10.51], "changed": {"size": 64}}
        )
    assert "alone [9.6, 10.51]  changed (size 64)" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "words", "[]", "{}", '"runs"'])
def test_a_file_of_something_else_is_none_of_results(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.json' holds no results of script/bench"):
        read(path)


def test_a_line_of_nvidia_smi() -> None:
    moment = datetime(2026, 11, 24, 12, 30, 15, 250_000)
    line = "2026/11/24 12:30:15.250, 97, 40960, 512.33, 1755\n"
    assert parse(line, since=moment.timestamp() - 3) == Sample(3.0, 0.97, 40.0, 512.33, 1755.0)
    assert parse("NVIDIA-SMI has failed\n", since=0) is None
    assert parse("2026/11/24 12:30:15.250, 97, [N/A], [N/A], 1755\n", since=0) is None


@pytest.mark.parametrize(("visible", "first"), [(None, "0"), ("", "0"), ("2,3", "2"), ("GPU-8e1f", "GPU-8e1f")])
def test_the_gpu_that_is_read_is_the_one_that_works(
    visible: str | None, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert first_gpu() == first


def test_gpu_figures_are_those_of_the_time_asked_for() -> None:
    use = GpuUse([Sample(float(at), at / 10, at, 100.0, 1000.0) for at in range(10)])
    figures = use.figures(2, 4)
    assert figures["gpu_busy"] == pytest.approx(0.3)
    assert figures["gpu_memory_gib"] == 4
    assert use.figures(20, 30) == {}
