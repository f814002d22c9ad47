from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import ManifestError
from server.manifest import IGNORED_KEYS, USED_KEYS, Manifest, load_manifest
from server.schema.signature import Mode


def _write(folder: Path, text: str) -> Path:
    (folder / "cog.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("key", ["predict", "run"])
def test_the_predictor_is_named_by_predict_or_run(key: str, tmp_path: Path) -> None:
    folder = _write(tmp_path, f"build:\n  gpu: true\n{key}: model.py:Model\n")
    assert load_manifest(folder) == Manifest(tmp_path, "model.py:Model", ignored=("build",))


def test_the_trainer_is_named_by_train(tmp_path: Path) -> None:
    manifest = load_manifest(_write(tmp_path, "train: train.py:train\n"))
    assert manifest.choose(Mode.TRAIN) == Manifest(tmp_path, trainer="train.py:train")
    with pytest.raises(ManifestError, match=r"cog\.yaml names nothing to predict: it has no `run` and no `predict`"):
        manifest.choose(Mode.PREDICT)


def test_what_is_given_is_stronger(tmp_path: Path) -> None:
    manifest = load_manifest(_write(tmp_path, "predict: model.py:Model\ntrain: train.py:train\n"))
    chosen = manifest.choose(Mode.TRAIN, "other.py:Other", "other.py:train")
    assert (chosen.predictor, chosen.trainer) == ("other.py:Other", "other.py:train")
    assert [chosen.reference(mode) for mode in Mode] == ["other.py:Other", "other.py:train"]


def test_a_given_predictor_needs_no_file(tmp_path: Path) -> None:
    chosen = load_manifest(tmp_path).choose(Mode.PREDICT, "other.py:Other")
    assert chosen == Manifest(tmp_path, "other.py:Other", exists=False)


def test_environment_and_concurrency(tmp_path: Path) -> None:
    folder = _write(tmp_path, "predict: a.py:A\nenvironment:\n  - A=1\n  - B=x=y\nconcurrency:\n  max: 4\n")
    manifest = load_manifest(folder)
    assert manifest.environment == {"A": "1", "B": "x=y"}
    assert manifest.max_concurrency == 4


def test_a_null_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    keys = ("run", "train", "environment", "concurrency", "build")
    folder = _write(tmp_path, "predict: a.py:A\n" + "".join(f"{key}:\n" for key in keys))
    assert load_manifest(folder) == Manifest(tmp_path, "a.py:A", ignored=("build",))


def test_keys_that_are_not_for_serving_are_told_apart_from_unknown_ones(tmp_path: Path) -> None:
    top = [key for key in IGNORED_KEYS if "." not in key]
    folder = _write(
        tmp_path,
        "predict: a.py:A\nconcurrency: {max: 2, default_target: 1, maximum: 3}\ntrian: b.py:b\n1: 2\n"
        + "".join(f"{key}: x\n" for key in top),
    )
    manifest = load_manifest(folder)
    assert set(manifest.ignored) == set(IGNORED_KEYS)
    assert manifest.unknown == ("trian", "1", "concurrency.maximum")
    misspelt, number, below = manifest.warnings()
    assert misspelt.startswith(f"{tmp_path / 'cog.yaml'}: `trian` is no key that Cog knows, and is ignored. ")
    assert "Did you mean `train`?" in misspelt
    assert all(f"`{key}`" in misspelt or f" {key}" in misspelt for key in (*USED_KEYS, *IGNORED_KEYS))
    assert "Did you mean" not in number
    assert "`concurrency.maximum`" in below


def test_a_manifest_without_unknown_keys_warns_of_nothing(tmp_path: Path) -> None:
    assert not list(load_manifest(_write(tmp_path, "predict: a.py:A\nbuild: {gpu: true}\n")).warnings())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("predict: [a.py]", r"`predict` is \['a.py'\], not a Python file .* `predict: predict.py:Predictor`"),
        ("run: 1", "`run` is 1, not a Python file .* `run: run.py:Runner`"),
        ("train: train", "`train` is 'train', not a Python file .* `train: train.py:train`"),
        ("train: {train.py: train}", "`train` is {'train.py': 'train'}"),
        ("predict: ''", "`predict` is ''"),
        ("predict: 'a.py:'", "`predict` is 'a.py:'"),
        ("predict: a.py:2", "`predict` is 'a.py:2'"),
        ("predict: a.py:A\nrun: b.py:B", "both `predict: a.py:A` and `run: b.py:B`.* Remove one"),
        ("- predict", "holds list, not the mapping"),
        ("", "holds NoneType, not the mapping"),
        ("predict: 'a", "cannot be read as YAML"),
        ("predict: a.py:A\nenvironment: {A: 1}", "Write a list of NAME=value"),
        ("predict: a.py:A\nenvironment: [A]", "holds 'A'"),
        ("predict: a.py:A\nenvironment: [1=2]", "holds '1=2'"),
        ("predict: a.py:A\nenvironment: [A=1, A=2]", "sets A twice"),
        ("predict: a.py:A\nconcurrency: 4", "N from 1 on"),
        ("predict: a.py:A\nconcurrency: {max: 0}", "N from 1 on"),
        ("predict: a.py:A\nconcurrency: {max: true}", "N from 1 on"),
        ("predict: a.py:A\nconcurrency: {default_target: 1}", "N from 1 on"),
    ],
)
def test_what_cannot_be_used_is_refused_with_file_rule_and_remedy(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=message) as refusal:
        load_manifest(_write(tmp_path, text))
    assert str(tmp_path / "cog.yaml") in str(refusal.value)


@pytest.mark.parametrize(
    ("mode", "remedy"),
    [
        (Mode.PREDICT, r"`predict: predict\.py:Predictor`, or give --predictor predict\.py:Predictor"),
        (Mode.TRAIN, r"`train: train\.py:train`, or give --trainer train\.py:train"),
    ],
)
def test_an_empty_folder_is_refused_with_the_ways_out(mode: Mode, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=rf"There is no cog\.yaml in .*{remedy}"):
        load_manifest(tmp_path).choose(mode)
    with pytest.raises(ManifestError, match=rf"names nothing to {mode}: .*{remedy}"):
        load_manifest(_write(tmp_path, "build: {gpu: true}")).choose(mode)
