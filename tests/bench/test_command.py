from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bench.report import read
from tests.conftest import ROOT


def _bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "sd3", "http"], "'sd3' is not one of 'sd21', 'sdxl', 'flux', 'emoji', 'emoji-fast'"),
        (["http", "--callers", "1,none"], "'1,none' should be positive integers, as in 1,8,32"),
        (["http", "--callers", "0"], "'0' should be positive integers"),
        (["--seconds", "0", "http"], "0.0 is not in the range x>=0.1"),
        (["measure"], "No such command 'measure'"),
        (["--out", "README.md", "check"], "README.md' holds no results of script/bench."),
        (["check", "--with", "cog.yaml"], "'cog.yaml' holds no results of script/bench."),
    ],
)
def test_a_mistake_is_explained(arguments: list[str], complaint: str) -> None:
    result = _bench(*arguments)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_a_whole_run(tmp_path: Path) -> None:
    """Most sections, as small as it gets."""
    out = tmp_path / "results.json"
    small = ["--model", "emoji-fast", "--step-count", "1", "--size", "64", "--seconds", "0.1", "--rounds", "1"]
    sections = ["reference", "http", "--callers", "2", "engine", "--callers", "1,2", "--steps", "same"]
    sections += ["together", "--repeats", "1", "soak", "--for", "0.05", "check"]
    result = _bench(*small, "--out", out, *sections)
    assert result.returncode == 0, result.stdout + result.stderr
    runs = read(out)
    measured = {run["section"] for run in runs}
    assert measured == {"reference", "loaded", "http", "engine", "passes", "ceiling", "together", "soak"}
    assert all(
        run["images_per_second"] > 0 and run["p99"] >= run["p50"] > 0 for run in runs if "p50" in run and "p99" in run
    )
    [soak] = [run for run in runs if run["section"] == "soak"]
    assert (soak["wrong"], soak["stuck"]) == (0, 0)
    assert soak["compared"] > 0
    assert "| SD 2.1, 8 clients: images/s of the reference | at least 7 (10.5) | not measured |" in result.stdout


def test_readiness_from_start_to_first_picture(tmp_path: Path) -> None:
    """A warm start comes after the cold one, which keeps what it finds, in whatever order they are asked for."""
    small = ["--model", "emoji-fast", "--step-count", "1", "--size", "64"]
    result = _bench(*small, "--out", tmp_path / "r.json", "ready", "--start", "warm", "--start", "cold")
    assert result.returncode == 0, result.stdout + result.stderr
    reading, *runs = read(tmp_path / "r.json")
    assert reading["seconds"] > 0
    assert [run["start"] for run in runs] == ["cold", "warm"]
    assert all(0 < run["ready"] < run["first_picture"] for run in runs)


def test_what_is_changed_reaches_server_and_engine_and_is_kept_with_the_figures(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    small = ["--model", "emoji-fast", "--step-count", "1", "--size", "64", "--seconds", "0.1", "--rounds", "1"]
    sections = ["http", "--callers", "1", "--steps", "same", "engine", "--callers", "1", "--steps", "same"]
    result = _bench(*small, "--quantize", "int8", "--out", out, *sections)
    assert result.returncode == 0, result.stdout + result.stderr
    runs = read(out)
    assert {run["section"] for run in runs} >= {"http", "engine", "passes"}
    assert {str(run["changed"]) for run in runs} == {str({"size": 64, "steps": 1, "quantize": "int8"})}


def test_what_a_model_cannot_do_is_told(tmp_path: Path) -> None:
    """This one has no steps to leave out: what never reached the engine would not fail."""
    small = ["--model", "emoji-fast", "--step-count", "1", "--size", "64", "--seconds", "0.1"]
    result = _bench(*small, "--out", tmp_path / "r.json", "--go-fast", "engine", "--callers", "1", "--steps", "same")
    assert result.returncode == 1
    assert "go_fast" in result.stdout


def test_a_section_that_fails_does_not_stop_the_next_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    models = tmp_path / "file" / "models"
    result = _bench("--model", "sd21", "--models", models, "--out", tmp_path / "r.json", "build", "check")
    assert result.returncode == 1
    assert f"NotADirectoryError: [Errno 20] Not a directory: '{models}'" in result.stdout
    assert "| Check |" in result.stdout


def _begun(pid: int) -> list[psutil.Process]:
    """The servers and engines that a bench has started."""
    found = []
    for process in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):
            if {"serve", "--multiprocessing-fork"} & set(process.cmdline()):
                found.append(process)
    return found


@pytest.mark.parametrize("section", ["together", "join"])
def test_what_it_has_started_ends_with_it(section: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--model", "emoji-fast", "--out", str(tmp_path / "r.json"), section]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as running:
        while not (begun := _begun(running.pid)):
            assert running.poll() is None
            time.sleep(0.05)
        running.terminate()
        assert running.wait(60) == 143
    _, alive = psutil.wait_procs(begun, timeout=10)
    assert alive == []


def test_nothing_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    result = _bench("--minutes", "0.01", "--out", tmp_path / "r.json", "--model", "emoji-fast", "join", "soak")
    assert result.returncode == 0
    assert "soak: skipped, the time is up" in result.stdout
    assert not (tmp_path / "r.json").exists()
