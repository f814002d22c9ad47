"""Checkpoints in a single file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from server.diffusion import ModelError
from server.diffusion.checkpoint import configuration_of, read_header
from server.diffusion.pipeline import read
from server.diffusion.sources import locate
from tests.diffusion.drawing import distance
from tests.diffusion.hub import Hub
from tests.diffusion.single_files import CONFIGURATIONS, build_pipeline, write_checkpoint
from tests.diffusion.tiny_pipelines import diffusers

NAMES = sorted(CONFIGURATIONS)


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """The folder, and the single file, of a tiny pipeline."""
    made: dict[str, tuple[Path, Path]] = {}

    def make(name: str) -> tuple[Path, Path]:
        if name not in made:
            place = tmp_path_factory.mktemp("checkpoints")
            pipeline = build_pipeline(name)
            pipeline.save_pretrained(place / "folder")
            made[name] = place / "folder", write_checkpoint(pipeline, place / "model.safetensors")
        return made[name]

    return make


Made = Callable[[str], tuple[Path, Path]]


def picture(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(7)
    [image] = pipeline("a red apple", width=64, height=48, num_inference_steps=2, generator=generator).images
    return image


def stock(folder: Path) -> Any:
    return picture(diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32))


def weights_of(files: set[str]) -> set[str]:
    return {name for name in files if name.endswith(".safetensors")}


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_those_of_the_folder(name: str, hub: Hub, pipelines: Made) -> None:
    folder, file = pipelines(name)
    hub.push_folder(CONFIGURATIONS[name], folder)
    loaded: Any = read(locate(str(file)))
    assert type(loaded).__name__ == type(build_pipeline(name)).__name__
    # Weights of another file lie at other addresses, for which the processor may choose kernels that round otherwise.
    assert distance(picture(loaded), stock(folder)) <= 1
    assert not loaded.unet.training
    # Of the configuration's own weights nothing is fetched.
    assert weights_of(set(hub.fetched_files())) == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_in_the_cache_needs_no_network(
    name: str, hub: Hub, pipelines: Made, offline: Callable[[], None]
) -> None:
    folder, file = pipelines(name)
    hub.push_folder(CONFIGURATIONS[name], folder)
    read(file)
    offline()
    read(file)
    assert hub.fetched == []


def test_a_configuration_that_is_missing_says_what_fetches_it(
    hub: Hub, pipelines: Made, offline: Callable[[], None]
) -> None:
    _, file = pipelines("stable-diffusion")
    offline()
    with pytest.raises(ModelError) as caught:
        read(file)
    assert f"{CONFIGURATIONS['stable-diffusion']} is not in the cache" in str(caught.value)
    assert f"Run `script/download-weights {file}` where there is network" in str(caught.value)


@pytest.mark.parametrize(
    ("lacking", "component"), [("first_stage_model.", "vae"), ("cond_stage_model.", "text_encoder")]
)
def test_what_a_file_lacks_comes_from_the_model_that_it_was_made_of(
    lacking: str, component: str, hub: Hub, pipelines: Made, tmp_path: Path
) -> None:
    folder, _ = pipelines("stable-diffusion")
    hub.push_folder(CONFIGURATIONS["stable-diffusion"], folder)
    part = write_checkpoint(build_pipeline("stable-diffusion"), tmp_path / "part.safetensors", leave_out=lacking)
    assert distance(picture(read(part)), stock(folder)) <= 1
    [fetched] = weights_of(set(hub.fetched_files()))
    assert fetched.startswith(f"{component}/")


def test_a_model_that_was_fetched_before_serves_as_configuration(
    hub: Hub, pipelines: Made, offline: Callable[[], None]
) -> None:
    folder, file = pipelines("stable-diffusion")
    hub.push_folder(CONFIGURATIONS["stable-diffusion"], folder)
    locate(CONFIGURATIONS["stable-diffusion"])
    hub.push_folder(CONFIGURATIONS["stable-diffusion"], folder, **{"README.md": b"newer"})
    offline()
    assert read(file)


@pytest.mark.parametrize(
    "names",
    [
        ["lora_unet_down_blocks_0.lora_up.weight", "lora_unet_down_blocks_0.lora_down.weight"],
        ["unet.down_blocks.0.lora_A.weight"],
        ["first_stage_model.decoder.conv_in.weight"],
        [],
    ],
    ids=["kohya", "peft", "vae", "empty"],
)
def test_a_file_without_a_pipeline_is_refused(names: list[str], hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({name: torch.zeros(4, 4) for name in names}, file)
    with pytest.raises(ModelError, match="holds no pipeline that diffusers knows") as caught:
        read(locate(str(file)))
    assert f"It has {len(names)} tensors" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not at all", b"\xff" * 8 + b"{}", b"version https://git-lfs.github.com/"])
def test_a_damaged_file_is_refused(content: bytes, hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"is no whole \.safetensors file"):
        read(locate(str(file)))


def test_a_file_that_was_cut_off_is_refused(hub: Hub, pipelines: Made, tmp_path: Path) -> None:
    _, file = pipelines("stable-diffusion")
    cut = tmp_path / "model.safetensors"
    cut.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"is no whole \.safetensors file"):
        read(locate(str(cut)))


def test_a_model_that_diffusers_cannot_load_from_a_file_is_told(hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(4, 4, 1, 1)}, file)
    repo = configuration_of(file, read_header(file))
    assert repo == CONFIGURATIONS["stable-diffusion"]
    hub.push(repo, {"model_index.json": b'{"_class_name": "DDPMPipeline"}'})
    with pytest.raises(ModelError, match="weights of a DDPMPipeline, which diffusers loads from folders only"):
        read(file)


def test_the_cache_is_the_hubs(hub: Hub, pipelines: Made) -> None:
    folder, file = pipelines("stable-diffusion")
    commit = hub.push_folder(CONFIGURATIONS["stable-diffusion"], folder)
    read(file)
    kept = Path(constants.HF_HUB_CACHE) / "models--stable-diffusion-v1-5--stable-diffusion-v1-5"
    assert (kept / "refs" / "darkroom").read_text() == commit
