"""What MODEL_ID may name."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from server.diffusion import ModelError, weights
from server.diffusion.pipeline import read
from server.diffusion.sources import download, locate
from tests.diffusion.hub import Hub
from tests.diffusion.single_files import CONFIGURATIONS, build_pipeline, write_checkpoint
from tests.diffusion.test_hub import FILES, NAME, content
from tests.diffusion.test_model_downloads import BODY
from tests.diffusion.tiny_pipelines import EMOJI
from tests.diffusion.web import Page, Web, serve_web

FILE = "checkpoints/tiny.safetensors"


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server with a file."""
    with serve_web() as web:
        web.pages["/tiny.safetensors"] = Page(BODY)
        yield web


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A file on this disk."""
    file = tmp_path / "tiny.safetensors"
    file.write_bytes(BODY)
    return file


def test_a_folder_and_a_file_are_taken_as_they_are(local: Path) -> None:
    assert locate(str(EMOJI)) == EMOJI
    assert locate(str(local)) == download(str(local)) == local


def test_a_path_may_be_relative_or_at_home(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(local.parent)
    monkeypatch.setenv("HOME", str(local.parent))
    assert locate("tiny.safetensors") == locate("./tiny.safetensors") == locate("~/tiny.safetensors") == local


def test_an_id_is_a_pipeline_on_the_hub(hub: Hub) -> None:
    hub.push(NAME, FILES)
    assert content(locate(NAME)) == FILES


@pytest.mark.parametrize("form", ["{name}/{file}", "{url}/{name}/blob/main/{file}", "{url}/{name}/resolve/main/{file}"])
def test_a_file_on_the_hub(form: str, hub: Hub, offline: Callable[[], None]) -> None:
    hub.push(NAME, {FILE: BODY, "other.safetensors": b"other"})
    model = form.format(name=NAME, file=FILE, url=hub.url)
    file = locate(model)
    assert file.read_bytes() == BODY
    assert hub.fetched_files() == [FILE]
    offline()
    assert locate(model) == file


def test_a_revision_of_a_file_on_the_hub(hub: Hub) -> None:
    old = hub.push(NAME, {FILE: b"old"})
    hub.push(NAME, {FILE: b"new"})
    assert locate(f"{NAME}/{FILE}", old).read_bytes() == b"old"
    assert locate(f"{hub.url}/{NAME}/resolve/{old}/{FILE}").read_bytes() == b"old"
    assert locate(f"{NAME}/{FILE}").read_bytes() == b"new"


def test_a_large_file_on_the_hub_is_gone_on_with(hub: Hub) -> None:
    body = BODY * 6
    hub.push(NAME, {FILE: body})
    hub.breaks_at[FILE] = 15_000_000
    with pytest.raises(ModelError, match=r"could not be fetched .* run the same command again"):
        locate(f"{NAME}/{FILE}")
    hub.breaks_at.clear()
    hub.fetched.clear()
    assert locate(f"{NAME}/{FILE}").read_bytes() == body
    assert hub.fetched == [(FILE, constants.DOWNLOAD_CHUNK_SIZE)]


@pytest.mark.parametrize("factor", [1, 3], ids=["small", "large"])
def test_a_file_on_the_hub_that_comes_damaged_is_refused(factor: int, hub: Hub) -> None:
    hub.push(NAME, {FILE: BODY * factor})
    hub.damaged.add(FILE)
    with pytest.raises(ModelError, match=r"tiny\.safetensors came damaged: its git SHA-1 is"):
        locate(f"{NAME}/{FILE}")
    hub.damaged.clear()
    assert locate(f"{NAME}/{FILE}").read_bytes() == BODY * factor


def test_the_missing_is_told(hub: Hub, offline: Callable[[], None]) -> None:
    hub.push(NAME, {FILE: BODY})
    with pytest.raises(ModelError, match=r"acme/tiny on the Hub has no file nope\.safetensors\. Look at .*/tree/main"):
        locate(f"{NAME}/nope.safetensors")
    with pytest.raises(ModelError, match="'acme/nope' is neither a folder here"):
        locate("acme/nope/a.safetensors")
    offline()
    with pytest.raises(ModelError, match=rf"Run `script/download-weights {NAME}/{FILE} --revision v1` where"):
        locate(f"{NAME}/{FILE}", "v1")


def test_a_file_on_the_web(web: Web, hub: Hub, offline: Callable[[], None]) -> None:
    url = f"{web.url}/tiny.safetensors?key=secret"
    file = locate(url)
    assert file.read_bytes() == BODY
    assert file.is_relative_to(Path(constants.HF_HOME))
    offline()
    assert locate(url) == file
    with pytest.raises(ModelError, match=r"is not in the cache .* HF_HUB_OFFLINE forbids .* `script/download-weights"):
        locate(f"{web.url}/other.safetensors")


@pytest.mark.parametrize(
    "model", ["acme/tiny/m.ckpt", "https://host/m.ckpt", "https://huggingface.co/acme/tiny/resolve/main/m.ckpt"]
)
def test_what_may_run_code_is_refused_before_it_is_fetched(model: str, hub: Hub) -> None:
    with pytest.raises(ModelError, match=r"m\.ckpt may run code when it is read.* Or convert it"):
        locate(model)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    for name, message in [("m.ckpt", "may run code"), ("m.gguf", r"is no \.safetensors file")]:
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(ModelError, match=message):
            locate(str(tmp_path / name))


@pytest.mark.parametrize(
    "model", ["nope.safetensors", "./nope.safetensors", "/nope/nope.safetensors", "~/n.safetensors"]
)
def test_a_file_that_is_not_there_is_told(model: str, hub: Hub) -> None:
    with pytest.raises(ModelError, match="There is no file"):
        locate(model)


def test_what_has_no_revision_or_variant_is_told(local: Path, hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    locate(str(local), "v1")
    assert "the revision v1 has no effect" in caplog.text
    with pytest.raises(ModelError, match="has no revision 'v1': only models on the Hub have"):
        locate("https://example.com/m.safetensors", "v1")
    with pytest.raises(ModelError, match="is no URL: Invalid IPv6 URL"):
        locate("https://[/m.safetensors")
    with pytest.raises(ModelError, match="has no variants"):
        download(str(local), variant="fp16")


def test_the_command_fetches_a_file_and_its_configuration(
    hub: Hub, offline: Callable[[], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = build_pipeline("stable-diffusion")
    pipeline.save_pretrained(tmp_path / "folder")
    file = write_checkpoint(pipeline, tmp_path / "tiny.safetensors")
    hub.push(NAME, {FILE: file.read_bytes()})
    commit = hub.push_folder(CONFIGURATIONS["stable-diffusion"], tmp_path / "folder")
    weights.main([f"{NAME}/{FILE}"])
    told = capsys.readouterr().out
    assert told.startswith(f"{NAME}/{FILE} is on this machine: ")
    assert commit in told
    offline()
    assert type(read(locate(f"{NAME}/{FILE}"))).__name__ == "StableDiffusionPipeline"
    assert hub.fetched == []


def test_the_command_refuses_what_is_no_pipeline(web: Web, hub: Hub) -> None:
    with pytest.raises(SystemExit, match=r"^script/download-weights: .* holds no pipeline that diffusers knows"):
        weights.main([f"{web.url}/tiny.safetensors?key=secret"])
