from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import ManifestError
from server.manifest import Manifest, load_manifest


def _write(folder: Path, text: str) -> Path:
    (folder / "cog.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("key", ["predict", "run"])
def test_the_predictor_is_named_by_predict_or_run(key: str, tmp_path: Path) -> None:
    folder = _write(tmp_path, f"build:\n  gpu: true\n{key}: model.py:Model\n")
    assert load_manifest(folder) == Manifest(tmp_path, "model.py:Model")


def test_a_given_predictor_is_stronger(tmp_path: Path) -> None:
    folder = _write(tmp_path, "predict: model.py:Model\n")
    assert load_manifest(folder, "other.py:Other").predictor == "other.py:Other"


def test_a_given_predictor_needs_no_file(tmp_path: Path) -> None:
    assert load_manifest(tmp_path, "other.py:Other") == Manifest(tmp_path, "other.py:Other")


def test_environment_and_concurrency(tmp_path: Path) -> None:
    folder = _write(tmp_path, "predict: a.py:A\nenvironment:\n  - A=1\n  - B=x=y\nconcurrency:\n  max: 4\n")
    manifest = load_manifest(folder)
    assert manifest.environment == {"A": "1", "B": "x=y"}
    assert manifest.max_concurrency == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("build: {gpu: true}", "names nothing to serve"),
        ("predict: [a.py]", r"is \['a.py'\]"),
        ("- predict", "holds list, not the mapping"),
        ("", "holds NoneType, not the mapping"),
        ("predict: 'a", "cannot be read as YAML"),
        ("predict: a.py:A\nenvironment: {A: 1}", "Write a list of NAME=value"),
        ("predict: a.py:A\nenvironment: [A]", "holds 'A'"),
        ("predict: a.py:A\nenvironment: [1=2]", "holds '1=2'"),
        ("predict: a.py:A\nconcurrency: 4", "N from 1 on"),
        ("predict: a.py:A\nconcurrency: {max: 0}", "N from 1 on"),
        ("predict: a.py:A\nconcurrency: {max: true}", "N from 1 on"),
    ],
)
def test_what_cannot_be_used_is_refused_with_file_rule_and_remedy(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=message) as refusal:
        load_manifest(_write(tmp_path, text))
    assert str(tmp_path / "cog.yaml") in str(refusal.value)


def test_an_empty_folder_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"There is no cog\.yaml in .*--predictor predict\.py:Predictor"):
        load_manifest(tmp_path)
