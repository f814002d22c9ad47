"""script/train-emoji, with a stand-in for Python that only makes the files of each stage."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Called as `-m training STAGE ... --work FOLDER`.
STAND_IN = """#!/usr/bin/env bash
shift 2
echo "$*" >>"$WORK/calls"
case "$1" in
    $FAILS)
        until [ -e "$WORK/waiting" ]; do sleep 0.01; done
        exit 3
        ;;
    recipes) : >"$WORK/recipes.npz" ;;
    vae) : >"$WORK/latents.pt" ;;
    unet)
        if [ "$FAILS" = vae ]; then : >"$WORK/waiting" && exec sleep 600; fi
        until [ -e "$WORK/latents.pt" ]; do sleep 0.01; done
        echo '{"done": true}' >"$WORK/unet.json"
        ;;
    decoder) mkdir "$WORK/vae-sharp" ;;
    judge) : >"$WORK/judge.safetensors" ;;
    lora) mkdir "$WORK/loras" ;;
    trajectories) : >"$WORK/trajectories.pt" ;;
    distil) mkdir "$WORK/unet-few-steps" ;;
esac
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "pack").mkdir(parents=True)
    (folder / "pack" / "index.json").write_text("{}")
    (tmp_path / "python").write_text(STAND_IN)
    (tmp_path / "python").chmod(0o755)
    return folder


def train(work: Path, *options: str, fails: str = "none") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": str(work.parent / "python"), "WORK": str(work), "FAILS": fails}
    command = [str(ROOT / "script" / "train-emoji"), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def calls(work: Path) -> list[str]:
    return [call.split()[0] for call in (work / "calls").read_text().splitlines()]


def test_runs_every_stage_and_on_the_next_call_repeats_none(work: Path) -> None:
    assert train(work).returncode == 0
    assert sorted(calls(work)[1:3]) == ["unet", "vae"]
    assert calls(work)[3:7] == ["decoder", "export", "judge", "lora"]
    assert sorted(calls(work)[7:9]) == ["distil", "trajectories"]
    assert calls(work)[9:] == ["export", "score", "score", "draw"]
    assert f"export --fast --work {work}" in (work / "calls").read_text()
    (work / "calls").unlink()
    assert train(work).returncode == 0
    assert calls(work) == ["export", "export", "score", "score", "draw"]


def test_leaves_to_the_next_call_what_would_not_end_in_time(work: Path) -> None:
    (work / "latents.pt").touch()
    ended = train(work, "--minutes", "1.5")
    assert ended.returncode == 0
    assert ended.stdout.endswith("Stopped for the time; run it again to go on.\n")
    assert calls(work) == ["recipes", "unet"]
    assert "unet --until " in (work / "calls").read_text()


def test_a_stage_that_fails_ends_the_one_beside_it(work: Path) -> None:
    # The other holds the pipe that is read here to its end, and would hold it for ten minutes.
    assert train(work, fails="vae").returncode == 3
    assert (work / "waiting").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--minutes"], "--minutes is '', but must be a number, as in --minutes 10."),
        (["--minutes", "ten"], "--minutes is 'ten', but must be a number, as in --minutes 10."),
        (["--minutes", "-5"], "--minutes is '-5', but must be a number, as in --minutes 10."),
        (["--seconds", "5"], "there is no option '--seconds', only --minutes N and --pack-only."),
        (["10"], "there is no option '10', only --minutes N and --pack-only."),
    ],
)
def test_says_what_is_wrong_with_its_options(work: Path, options: list[str], message: str) -> None:
    ended = train(work, *options)
    assert ended.returncode == 1
    assert ended.stderr == f"script/train-emoji: {message}\n"
    assert not (work / "calls").exists()


def test_needs_npm_to_make_the_pack(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "pack" / "index.json").unlink()
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname"):
        (tmp_path / "bin" / name).symlink_to(Path("/usr/bin") / name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    ended = train(work, "--pack-only")
    assert ended.returncode == 1
    assert "npm is not there" in ended.stderr
