"""Where weights are. What needs a GPU is skipped elsewhere; the rest has the CPU in the place of both devices."""

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from server.diffusion import Engine, ModelError, PictureRequest, placement, turns
from server.diffusion.batching import Rendezvous
from server.diffusion.gates import gate_of, put_gates
from server.diffusion.generation import draw
from server.diffusion.passes import Passes
from server.diffusion.pipeline import private_copy, read
from server.diffusion.placement import Placement, Step, arrange, choose, place, place_lower
from server.diffusion.schedulers import make_scheduler
from server.diffusion.turns import Turns
from server.diffusion.warnings import Warnings
from tests.diffusion.drawing import distance, psnr
from tests.diffusion.tiny_pipelines import BUILDERS, diffusers, transformers

Tiny = Callable[[str], Path]

CPU = torch.device("cpu")
GB = 10**9


@pytest.mark.parametrize(
    ("gigabytes", "step"),
    [(20, Step.WHOLE), (10, Step.TILED), (8, Step.BY_MODEL), (5, Step.BY_LAYER), (0, Step.BY_LAYER)],
)
def test_the_first_step_that_fits_is_chosen(gigabytes: int, step: Step) -> None:
    sizes = {"text_encoder": GB, "unet": 5 * GB, "text_encoder_2": 2 * GB, "vae": GB // 2}
    assert choose(sizes, gigabytes * GB) is step


def test_smaller_pictures_need_less_room() -> None:
    sizes = {"text_encoder": GB // 2, "unet": 2 * GB}
    assert choose(sizes, 4 * GB) is Step.TILED
    assert choose(sizes, 4 * GB, pixels=512 * 512) is Step.WHOLE


def test_what_has_no_weights_fits() -> None:
    assert choose({}, 4 * GB) is Step.WHOLE


def pictures(pipeline: Any, placed: Placement, **arguments: Any) -> list[Any]:
    """What three requests get that are made at the same time."""
    put_gates(pipeline)
    rendezvous = Rendezvous(Passes(placed.device, 32, make_room=placed.make_room))
    futures: list[Future[Any]] = []
    for seed in range(3):
        own: Any = private_copy(pipeline, make_scheduler(None, pipeline.scheduler))
        own.set_progress_bar_config(disable=True)
        # Of different lengths, so that they are in different stages most of the time.
        call = {"prompt": "a red apple", "num_inference_steps": 2 + seed, **arguments}
        futures.append(rendezvous.submit(partial(draw, own, call, seed, Warnings()), seed))
    try:
        return [future.result().images[0] for future in futures]
    finally:
        rendezvous.close()


SIZES: dict[str, Any] = {"pixart": {"width": 256, "height": 256}, "sana": {"width": 512, "height": 512}}


@pytest.mark.parametrize("step", [Step.BY_MODEL, Step.BY_LAYER])
@pytest.mark.parametrize("name", BUILDERS)
def test_pictures_are_the_same_in_every_step(name: str, step: Step, tiny: Tiny) -> None:
    size = SIZES.get(name, {"width": 64, "height": 64})
    whole, other = read(tiny(name)), read(tiny(name))
    expected = pictures(whole, arrange(whole, CPU, Step.WHOLE), **size)
    placed = arrange(other, CPU, step)
    assert other._execution_device == CPU
    got = pictures(other, placed, **size)
    # Who shares a pass with whom is a matter of time, and rounds differently.
    assert all(distance(one, another) <= 1 for one, another in zip(expected, got, strict=True))
    assert not placed.stays
    assert len(placed.notes) == 1


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The classes of the models that are brought to the device."""
    brought: list[str] = []
    monkeypatch.setattr(
        turns,
        "_fits",
        lambda module, device: brought.append(type(module).__name__) or True,  # type: ignore[func-returns-value]
    )
    return brought


def test_models_take_turns(tiny: Tiny, moves: list[str]) -> None:
    pipeline: Any = read(tiny("stable-diffusion"))
    placed = arrange(pipeline, CPU, Step.BY_MODEL)
    pictures(pipeline, placed)
    assert placed.turns is not None
    assert len(placed.turns.present) == 1
    # No request brings a model that the others have not left yet.
    assert moves[:2] == ["CLIPTextModel", "UNet2DConditionModel"]
    assert set(moves) == {"CLIPTextModel", "UNet2DConditionModel", "AutoencoderKL"}
    assert len(moves) <= 3 + 2 * 3


def test_a_pass_knows_the_component_that_is_offloaded(tiny: Tiny) -> None:
    pipeline: Any = read(tiny("stable-diffusion"))
    arrange(pipeline, CPU, Step.BY_MODEL)
    put_gates(pipeline)
    for module, method in [(pipeline.unet, "forward"), (pipeline.vae, "decode"), (pipeline.text_encoder, "forward")]:
        gate = gate_of(module, method)
        assert gate is not None
        assert gate.module is module


def test_as_many_models_stay_as_there_is_room_for(moves: list[str]) -> None:
    small, middle, large = (torch.nn.Linear(width, 1, bias=False) for width in (10, 20, 30))
    turns = Turns(CPU, room=4 * (10 + 30))
    for module in (small, middle, small, large):
        turns.bring(module)
    assert turns.present == [small, large]
    turns.bring(middle)
    assert turns.present == [middle]
    assert len(moves) == 4


class Crowded(torch.nn.Linear):
    """Fits onto a device after so many tries."""

    def __init__(self, tries: int) -> None:
        super().__init__(1, 1)
        self.tries = tries
        self.places: list[torch.device] = []

    def to(self, device: torch.device) -> Any:  # type: ignore[override]
        self.places.append(device)
        if device.type != "cpu":
            self.tries -= 1
            if self.tries:
                raise torch.OutOfMemoryError("CUDA out of memory.")
        return self


def test_a_model_that_does_not_fit_has_the_device_for_itself() -> None:
    turns = Turns(torch.device("meta"), room=GB)
    other, module = Crowded(1), Crowded(2)
    turns.bring(other)
    turns.bring(module)
    assert turns.present == [module]
    assert other.places[-1] == CPU


def test_a_model_that_never_fits_is_an_error_and_back_on_the_cpu() -> None:
    turns = Turns(torch.device("meta"), room=GB)
    module = Crowded(9)
    with pytest.raises(torch.OutOfMemoryError, match="Crowded alone does not fit onto meta"):
        turns.bring(module)
    assert module.places[-1] == CPU
    assert turns.present == []


def out_of_memory(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def test_what_does_not_fit_is_tried_in_the_next_step(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline: Any = read(tiny("stable-diffusion"))
    to = pipeline.to
    monkeypatch.setattr(pipeline, "to", lambda where: to(where) if where == "cpu" else out_of_memory())
    placed = place(pipeline, CPU)
    assert placed.step is Step.BY_MODEL
    assert caplog.text.count("does not fit onto cpu (CUDA out of memory); the next step is tried") == 2
    assert placed.notes[0] in caplog.text


def test_what_fits_in_no_step_is_told(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline: Any = read(tiny("stable-diffusion"))
    monkeypatch.setattr(placement, "cpu_offload", out_of_memory)
    with pytest.raises(ModelError, match=r"does not fit into the memory of cpu in any way .* Choose a smaller model"):
        place(pipeline, CPU, least=Step.BY_LAYER)


def test_what_fits_says_nothing(tiny: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    placed = place(read(tiny("stable-diffusion")), CPU)
    assert (placed.step, placed.notes, placed.stays, caplog.text) == (Step.WHOLE, [], True, "")


@pytest.mark.parametrize("name", ["stable-diffusion", "flux"])
def test_pictures_are_the_same_after_each_step_down(name: str, tiny: Tiny) -> None:
    pipeline: Any = read(tiny(name))
    placed = place(pipeline, CPU)
    expected = pictures(pipeline, placed, width=64, height=64)
    for step in (Step.TILED, Step.BY_MODEL, Step.BY_LAYER):
        placed = place_lower(pipeline, placed)
        assert placed.step is step
        assert pipeline.vae.use_tiling == (step is Step.TILED)
        got = pictures(pipeline, placed, width=64, height=64)
        assert all(distance(one, another) <= 1 for one, another in zip(expected, got, strict=True))


def test_an_autoencoder_that_is_tiled_at_load_says_so(tiny: Tiny) -> None:
    pipeline: Any = read(tiny("stable-diffusion"))
    placed = arrange(pipeline, CPU, Step.TILED)
    assert pipeline.vae.use_tiling
    assert pipeline.vae.use_slicing
    assert "large ones in tiles" in placed.notes[0]
    assert placed.stays


@pytest.fixture
def little_memory() -> Iterator[Callable[[float], None]]:
    """Lets torch have no more than so many bytes of the GPU beside what it holds, until the test ends."""

    def limit(size: float) -> None:
        gc.collect()
        torch.cuda.empty_cache()
        most = torch.cuda.memory_reserved() + size
        torch.cuda.set_per_process_memory_fraction(most / torch.cuda.get_device_properties(0).total_memory)

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.gpu
@pytest.mark.parametrize("step", [Step.BY_MODEL, Step.BY_LAYER])
@pytest.mark.parametrize("name", ["stable-diffusion", "stable-diffusion-xl", "flux", "z-image"])
def test_pictures_on_a_gpu_are_the_same_in_every_step(name: str, step: Step, tiny: Tiny) -> None:
    device = torch.device("cuda")
    whole, other = read(tiny(name)), read(tiny(name))
    expected = pictures(whole, arrange(whole, device, Step.WHOLE), width=64, height=64)
    placed = arrange(other, device, step)
    got = pictures(other, placed, width=64, height=64)
    # Which of the three share a pass depends on when they come to it.
    assert all(psnr(one, another) >= 40 for one, another in zip(expected, got, strict=True))


@pytest.fixture(scope="module")
def middling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of the size of Stable Diffusion 1.5, of random weights: 0.5 GB of text encoder, 1.7 GB of UNet."""
    folder = tmp_path_factory.mktemp("middling")
    torch.manual_seed(0)
    pipeline = BUILDERS["stable-diffusion"]()
    wide = transformers.CLIPTextConfig(
        **{**pipeline.text_encoder.config.to_dict(), "hidden_size": 768, "intermediate_size": 3072}
        | {"num_hidden_layers": 32, "num_attention_heads": 12}
    )
    pipeline.register_modules(
        text_encoder=transformers.CLIPTextModel(wide).eval(),
        unet=diffusers.UNet2DConditionModel(cross_attention_dim=768, sample_size=64).eval(),
    )
    pipeline.to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.mark.gpu
@pytest.mark.parametrize(("gigabytes", "step"), [(8, Step.WHOLE), (2.2, Step.BY_MODEL), (1.2, Step.BY_LAYER)])
def test_a_middling_pipeline_fits_onto_small_gpus(
    gigabytes: float, step: Step, middling: Path, little_memory: Callable[[float], None]
) -> None:
    device, size = torch.device("cuda"), {"width": 512, "height": 512}
    whole: Any = read(middling)
    expected = pictures(whole, arrange(whole, device, Step.WHOLE), **size)
    whole.to("cpu")
    little_memory(gigabytes * GB)
    held = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    pipeline = read(middling)
    placed = place(pipeline, device)
    assert placed.step is step
    got = pictures(pipeline, placed, **size)
    assert torch.cuda.max_memory_reserved() <= held + gigabytes * GB
    assert all(psnr(one, another) >= 40 for one, another in zip(expected, got, strict=True))


@pytest.mark.gpu
async def test_what_leaves_no_memory_for_a_picture_is_placed_lower(
    middling: Path, little_memory: Callable[[float], None]
) -> None:
    whole, engine = Engine(str(middling), compile="off"), Engine(str(middling), compile="off")
    request = PictureRequest(prompt="a red apple", seed=1, num_inference_steps=2, width=512, height=512)
    [expected] = [picture async for picture in whole.generate(request)]
    whole.close()
    whole.pipeline.to("cpu")
    del whole
    assert engine.placement.step is Step.WHOLE
    # Of one that has drawn nothing yet, and keeps no memory that a picture could have.
    little_memory(GB / 20)
    engine.warm_up()
    assert engine.placement.step > Step.TILED
    [got] = [picture async for picture in engine.generate(request)]
    engine.close()
    assert psnr(expected.image, got.image) >= 40
