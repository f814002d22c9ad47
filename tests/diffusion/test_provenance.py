"""What makes the pictures."""

import hashlib
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from server import __version__
from server.diffusion import ModelError, Provenance, provenance_of
from server.diffusion.pipeline import read
from server.diffusion.provenance import model_digest
from tests.conftest import ROOT

EMOJI = ROOT / "models" / "emoji"


@pytest.fixture(scope="module")
def pipeline() -> DiffusionPipeline:
    return read(EMOJI)


def test_a_folder_is_known_by_its_name_and_digest(pipeline: DiffusionPipeline) -> None:
    found = provenance_of(pipeline, str(EMOJI), EMOJI).result()
    assert found == Provenance(
        model="emoji",
        digest=model_digest(EMOJI),
        pipeline="StableDiffusionPipeline",
        device=f"cpu: {torch.backends.cpu.get_cpu_capability()}",
        dtype="float32",
        versions={
            "darkroom": __version__,
            **{name: version(name) for name in ("diffusers", "torch", "transformers", "pillow")},
        },
    )


def test_a_model_of_the_hub_is_known_by_its_commit(pipeline: DiffusionPipeline, tmp_path: Path) -> None:
    source = tmp_path / "models--owner--name" / "snapshots" / ("ab" * 20)
    found = provenance_of(pipeline, "owner/name", source).result()
    assert (found.model, found.revision, found.digest) == ("owner/name", "ab" * 20, None)


def test_the_digest_is_that_of_sha256sum(tmp_path: Path) -> None:
    shutil.copytree(EMOJI, tmp_path / "emoji")
    files = sorted(path.relative_to(EMOJI).as_posix() for path in EMOJI.rglob("*") if path.is_file())
    listed = subprocess.run(["sha256sum", *files], cwd=EMOJI, capture_output=True, check=True).stdout
    assert model_digest(EMOJI) == hashlib.sha256(listed).hexdigest()
    # What is not loaded has no say.
    (tmp_path / "emoji" / "unet" / "notes.bin").write_text("x")
    assert model_digest(tmp_path / "emoji") == model_digest(EMOJI)
    settings = tmp_path / "emoji" / "scheduler" / "scheduler_config.json"
    settings.write_text(settings.read_text() + " ")
    assert model_digest(tmp_path / "emoji") != model_digest(EMOJI)


def test_the_digest_of_a_single_file_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"hello")
    assert model_digest(tmp_path / "model.safetensors") == hashlib.sha256(b"hello").hexdigest()


def test_a_folder_that_holds_no_model_has_none(
    pipeline: DiffusionPipeline, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ModelError):
        model_digest(tmp_path)
    assert provenance_of(pipeline, str(tmp_path), tmp_path).result().digest is None
    assert "will not tell the digest" in caplog.text
