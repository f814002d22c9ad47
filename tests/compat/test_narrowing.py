"""`narrow_inputs`, and exceptions that name an input: nothing to Cog, which runs the same predictor as it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.answer import Answer, answer_of
from tests.compat.case import PREDICTORS
from tests.compat.deviations import Deviation, shows
from tests.compat.pair import Pair, Peer
from tests.compat.real_cog import starting_cog, wait_for_cog
from tests.conftest import ROOT, running_server

REFERENCE = "predict.py:Predictor"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both with `narrow_inputs.py`; Cog checks inputs by what `cog build` makes of the source."""
    ours, theirs = tmp_path_factory.mktemp("darkroom"), tmp_path_factory.mktemp("cog")
    for side in (ours, theirs):
        shutil.copyfile(PREDICTORS / "narrow_inputs.py", side / "predict.py")
    (ours / "cog.yaml").write_text(f"predict: {REFERENCE}\n")
    document = source_document(ours)
    with running_server(ours) as server, starting_cog(theirs, REFERENCE, document) as client:
        assert wait_for_cog(client) == "READY", client.get("/health-check").text
        yield Pair(Peer(client, theirs, True), Peer(server.client, ours, False))


def source_document(folder: Path) -> dict[str, Any]:
    """What `darkroom schema` says of the source alone; `tests/schema/test_openapi.py` compares that with Cog's."""
    command = [sys.executable, "-m", "server", "schema"]
    printed = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    ).stdout
    document: dict[str, Any] = json.loads(printed)
    return document


def ask(pair: Pair, **given: Any) -> tuple[Answer, Answer]:
    """What Cog answers, and what Darkroom does."""
    theirs, ours = (
        answer_of(peer.ask("POST", "/predictions", json={"input": given}), peer.folder)
        for peer in (pair.cog, pair.darkroom)
    )
    return theirs, ours


def messages(answer: Answer) -> list[str]:
    assert answer.status == 422
    return [f"{one['loc'][-1]}: {one['msg']}" for one in answer.body["detail"]]


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "a", "steps": 8, "scheduler": "DDIM"},
        {"prompt": "a", "steps": 1, "scheduler": "DDIM", "mask": ""},
        {"prompt": "a", "steps": 0, "scheduler": "DDIM"},
        {"prompt": "a", "steps": None, "scheduler": "DDIM"},
        {"steps": 1, "scheduler": "DDIM"},
        {"prompt": "a", "steps": 8, "scheduler": "DDIM", "unknown": 1},
    ],
)
def test_what_both_take_or_refuse_is_the_same(pair: Pair, given: dict[str, Any]) -> None:
    theirs, ours = ask(pair, **given)
    assert str(ours) == str(theirs)


@shows(Deviation.NARROWED_INPUTS)
def test_what_the_source_offers_and_the_loaded_model_cannot_take(pair: Pair) -> None:
    theirs, ours = ask(pair, prompt="a")
    assert (theirs.body["output"], ours.body["output"]) == ("a  None None", "a  4 DDIM")
    given = {"mask": "m", "steps": 9, "scheduler": "PNDM"}
    theirs, ours = ask(pair, prompt="a", **given)
    assert theirs.body["output"] == "a m 9 PNDM"
    assert messages(ours) == [
        'scheduler: "PNDM" is not one of ["DDIM"]',
        "steps: 9 is greater than the maximum of 8",
        "mask: the loaded model cannot take it: it has no form for inpainting. Leave it out.",
    ]


@shows(Deviation.REFUSED_INPUTS)
def test_what_predict_itself_refuses(pair: Pair) -> None:
    theirs, ours = ask(pair, prompt="nothing")
    assert (theirs.status, theirs.body["status"]) == (200, "failed")
    assert theirs.body["error"].endswith("InputError: prompt: nothing cannot be drawn")
    assert messages(ours) == ["prompt: nothing cannot be drawn"]
    kept = pair.darkroom.client.get("/predictions").json()["results"][0]
    assert kept["error"] == theirs.body["error"]
