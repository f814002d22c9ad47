"""Models from the Hub, which is a stand-in on this machine."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from huggingface_hub import constants

from server.diffusion import ModelError
from server.diffusion.hub import download, locate
from tests.conftest import ROOT
from tests.diffusion.hub import Hub
from tests.diffusion.tiny_pipelines import EMOJI

NAME = "acme/tiny"

INDEX = json.dumps({"_class_name": "X", "scheduler": ["diffusers", "S"], "unet": ["diffusers", "U"]}).encode()

FILES = {
    "model_index.json": INDEX,
    "README.md": b"# A model",
    "scheduler/scheduler_config.json": b'{"of": "the scheduler"}',
    "unet/config.json": b'{"of": "the UNet"}',
    "unet/diffusion_pytorch_model.safetensors": b"plain",
}

UNNEEDED = {
    ".gitattributes": b"",
    "unet/diffusion_pytorch_model.bin": b"pickle",
    "unet/diffusion_pytorch_model.fp16.safetensors": b"half",
    "model.ckpt": b"everything",
    "safety_checker/model.safetensors": b"other",
}


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_what_is_needed_is_fetched(hub: Hub) -> None:
    commit = hub.push(NAME, FILES | UNNEEDED)
    folder = download(NAME)
    assert folder.name == commit
    assert content(folder) == FILES
    assert hub.fetched_files() == sorted(FILES)


def test_nothing_is_fetched_twice(hub: Hub) -> None:
    hub.push(NAME, FILES)
    folder = download(NAME)
    hub.fetched.clear()
    assert download(NAME) == folder
    assert locate(NAME) == folder
    assert hub.fetched == []


def test_a_model_that_is_not_there_yet_is_fetched_at_once(hub: Hub) -> None:
    hub.push(NAME, FILES | UNNEEDED)
    assert content(locate(NAME)) == FILES


def test_what_was_fetched_needs_no_network(hub: Hub, offline: Callable[[], None]) -> None:
    hub.push(NAME, FILES | UNNEEDED)
    folder = download(NAME)
    offline()
    assert locate(NAME) == folder
    assert download(NAME) == folder


def test_the_commit_that_was_fetched_is_the_one_that_is_loaded(hub: Hub, offline: Callable[[], None]) -> None:
    old = hub.push(NAME, FILES)
    new = hub.push(NAME, FILES | {"README.md": b"# Newer"})
    assert download(NAME, old).name == old
    assert locate(NAME).name == old
    assert locate(NAME, "main").name == new
    assert download(NAME).name == new
    assert locate(NAME).name == new
    offline()
    assert locate(NAME).name == new
    assert locate(NAME, old).name == old


def test_a_branch_that_moves_changes_nothing_unasked(hub: Hub) -> None:
    old = hub.push(NAME, FILES)
    locate(NAME)
    hub.push(NAME, FILES | {"README.md": b"# Newer"})
    assert locate(NAME).name == old


def test_a_variant_is_fetched_and_found_again(hub: Hub, offline: Callable[[], None]) -> None:
    hub.push(NAME, FILES | UNNEEDED)
    folder = download(NAME, variant="fp16")
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in content(folder)
    assert "unet/diffusion_pytorch_model.safetensors" not in content(folder)
    offline()
    assert locate(NAME) == folder


def test_the_only_variant_is_taken_unasked(hub: Hub) -> None:
    files = {name: body for name, body in (FILES | UNNEEDED).items() if not name.endswith("model.safetensors")}
    hub.push(NAME, files)
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in content(download(NAME))


def test_a_variant_that_is_not_there_is_refused(hub: Hub) -> None:
    hub.push(NAME, FILES | UNNEEDED)
    with pytest.raises(ModelError, match=r"no weights of the variant 'bf16'; it has: \(no name\), fp16"):
        download(NAME, variant="bf16")


def test_a_large_file_that_was_cut_off_is_resumed(hub: Hub) -> None:
    large = "unet/diffusion_pytorch_model.safetensors"
    body = os.urandom(25_000_000)
    hub.push(NAME, FILES | {large: body})
    hub.breaks_at[large] = 15_000_000
    with pytest.raises(ModelError, match=r"could not be fetched .* run the same command again to go on from there"):
        download(NAME)
    hub.breaks_at.clear()
    hub.fetched.clear()
    folder = download(NAME)
    assert sha256((folder / large).read_bytes()).digest() == sha256(body).digest()
    [offset] = [offset for name, offset in hub.fetched if name == large]
    # What is kept is whole chunks of the library's.
    assert offset == constants.DOWNLOAD_CHUNK_SIZE


@pytest.mark.parametrize("size", [100, 25_000_000], ids=["small", "large"])
def test_what_comes_damaged_is_refused_and_fetched_anew(size: int, hub: Hub) -> None:
    weights = "unet/diffusion_pytorch_model.safetensors"
    body = os.urandom(size)
    hub.push(NAME, FILES | {weights: body})
    hub.damaged.add(weights)
    with pytest.raises(ModelError, match=r"came damaged: its git SHA-1 is [0-9a-f]{40}, not .* Run the same command"):
        download(NAME)
    hub.damaged.clear()
    assert (download(NAME) / weights).read_bytes() == body


def test_what_was_cut_off_is_not_loaded(hub: Hub, offline: Callable[[], None]) -> None:
    hub.push(NAME, FILES)
    hub.breaks_at["unet/diffusion_pytorch_model.safetensors"] = 0
    with pytest.raises(ModelError):
        download(NAME)
    offline()
    with pytest.raises(ModelError, match=r"is not in the cache .* as a whole, and HF_HUB_OFFLINE forbids"):
        locate(NAME)
    with pytest.raises(ModelError, match=r"Run `script/download-weights acme/tiny --revision v1` where there is net"):
        locate(NAME, "v1")
    with pytest.raises(ModelError, match=r"Run `script/download-weights acme/new --variant fp16` where there is net"):
        download("acme/new", variant="fp16")


@pytest.mark.parametrize(
    ("revision", "message"),
    [("nope", "acme/tiny has no revision 'nope'"), ("0" * 40, f"acme/tiny has no revision '{'0' * 40}'")],
)
def test_a_revision_that_is_not_there_is_told(revision: str, message: str, hub: Hub) -> None:
    hub.push(NAME, FILES)
    with pytest.raises(ModelError, match=message):
        locate(NAME, revision)


def test_a_model_that_is_not_there_is_told(hub: Hub) -> None:
    with pytest.raises(ModelError, match=r"'acme/nope' is neither a folder here .* nor a model on the Hub"):
        locate("acme/nope")


def test_a_model_behind_a_licence_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push(NAME, FILES)
    hub.repositories[NAME].gated = True
    with pytest.raises(ModelError, match=f"Accept it at {hub.url}/{NAME}, then set HF_TOKEN"):
        locate(NAME)
    monkeypatch.setenv("HF_TOKEN", "hf_open")
    assert content(locate(NAME)) == FILES


def test_a_repository_that_is_no_pipeline_is_told(hub: Hub) -> None:
    hub.push(NAME, {"model.safetensors": b""})
    with pytest.raises(ModelError, match=r"acme/tiny on the Hub is no diffusers pipeline: it has no model_index\.json"):
        locate(NAME)


def test_a_hub_that_cannot_be_reached_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    point_to("http://127.0.0.1:9", monkeypatch)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(ModelError, match=r"the Hub cannot be reached at .* Run `script/download-weights acme/tiny`"):
        locate(NAME)


@pytest.mark.parametrize("model", ["./nope", "/nope/nope", "~/nope", "a/b/c", "owner/na me", "C:\\model"])
def test_what_can_only_be_a_folder_is_not_asked_for(model: str, hub: Hub) -> None:
    with pytest.raises(ModelError, match="There is no folder"):
        locate(model)


def test_a_revision_of_a_folder_is_told_to_have_no_effect(caplog: pytest.LogCaptureFixture) -> None:
    assert locate(str(EMOJI), "main") == EMOJI
    assert "the revision main has no effect" in caplog.text


def run(*arguments: str, hub: Hub, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_fetches_what_the_server_then_loads(hub: Hub, tmp_path: Path) -> None:
    commit = hub.push_folder(NAME, EMOJI)
    fetched = run("server.diffusion.weights", hub=hub, home=tmp_path, MODEL_ID=NAME)
    assert fetched.returncode == 0, fetched.stderr
    assert commit in fetched.stdout
    assert "100%" in fetched.stderr
    assert "Warning" not in fetched.stderr
    hub.fetched.clear()
    load = "from server.diffusion import Engine; import os; print(Engine(os.environ['MODEL_ID']))"
    loaded = subprocess.run(
        [sys.executable, "-c", load],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "MODEL_ID": NAME},
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.startswith("StableDiffusionPipeline from ")
    assert commit in loaded.stdout


@pytest.mark.parametrize(
    ("model", "says"), [("", "the embedded model is in this repository, nothing to fetch"), (str(EMOJI), "is a folder")]
)
def test_the_command_says_when_there_is_nothing_to_fetch(model: str, says: str, hub: Hub, tmp_path: Path) -> None:
    done = run("server.diffusion.weights", hub=hub, home=tmp_path, MODEL_ID=model)
    assert done.returncode == 0
    assert says in done.stdout


def test_the_command_fails_with_the_reason(hub: Hub, tmp_path: Path) -> None:
    failed = run("server.diffusion.weights", "acme/nope", hub=hub, home=tmp_path)
    assert failed.returncode == 1
    assert failed.stderr.startswith("script/download-weights: 'acme/nope' is neither")
    assert "Traceback" not in failed.stderr
