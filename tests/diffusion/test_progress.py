"""The progress bar of a request."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from server.diffusion.progress import Progress


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_the_stages_of_a_picture_and_all_pictures_are_one_bar(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(pictures=2)
    for picture in range(2):
        pipeline: Any = SimpleNamespace()
        progress.attach(pipeline, picture)
        assert list(pipeline.progress_bar(["one", "two", "three"])) == ["one", "two", "three"]
        with pipeline.progress_bar(total=2) as bar:
            bar.set_description("decoding")
            bar.update()
            bar.update()
        progress.finish_picture(picture)
    assert last_line(capsys).startswith("100%|")
    progress.finish_picture(1)
    assert capsys.readouterr().err == ""


def test_a_pipeline_that_counts_more_or_fewer_steps_ends_complete(capsys: pytest.CaptureFixture[str]) -> None:
    for steps in (1, 7):
        progress = Progress(pictures=1)
        pipeline: Any = SimpleNamespace()
        progress.attach(pipeline, 0)
        with pipeline.progress_bar(total=4) as bar:
            bar.update(steps)
        progress.finish_picture(0)
        assert "| 4/4 [" in last_line(capsys)


def test_a_pipeline_without_steps_shows_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    Progress(pictures=1).finish_picture(0)
    assert capsys.readouterr().err == ""


def test_timesteps_may_be_a_tensor(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(pictures=1)
    pipeline: Any = SimpleNamespace()
    progress.attach(pipeline, 0)
    assert [int(step) for step in pipeline.progress_bar(torch.tensor([2, 1, 0]))] == [2, 1, 0]
    progress.finish_picture(0)
    assert "| 3/3 [" in last_line(capsys)
