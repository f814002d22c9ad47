"""Gates on the components of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from greenlet import greenlet
from peft import LoraConfig

from server.diffusion.gates import Gate, Stage, gate_of, put_gates
from tests.diffusion.tiny_pipelines import BUILDERS, stable_diffusion


class Parked(greenlet):
    """A request that notes what it is stopped at, and is answered at once."""

    def __init__(self, work: Any) -> None:
        super().__init__(work)
        self.calls: list[tuple[Gate, dict[str, Any]]] = []

    def park(self, gate: Gate, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        self.calls.append((gate, gate.arguments(args, kwargs)))
        return gate.function(*args, **kwargs)


@pytest.mark.parametrize("name", BUILDERS)
def test_each_part_that_costs_has_a_gate(name: str) -> None:
    pipeline = BUILDERS[name]()
    put_gates(pipeline)
    stages = {}
    for part, module in pipeline.components.items():
        if not isinstance(module, torch.nn.Module):
            continue
        for method in ("forward", "encode", "decode"):
            if gate := gate_of(module, method):
                stages[gate.name] = gate.stage
                assert gate.name == (part if method == "forward" else f"{part}.{method}")
    model = "unet" if hasattr(pipeline, "unet") else "transformer"
    encoders = {part for part in pipeline.components if part.startswith("text_encoder")}
    assert stages == {
        model: Stage.DENOISE,
        "vae.encode": Stage.PREPARE,
        "vae.decode": Stage.DECODE,
        **dict.fromkeys(encoders, Stage.PREPARE),
    }


def test_gates_are_put_once_and_let_others_pass() -> None:
    pipeline = stable_diffusion()
    latents = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        expected = pipeline.vae.decode(latents).sample
        put_gates(pipeline)
        function = gate_of(pipeline.vae, "decode").function  # type: ignore[union-attr]
        put_gates(pipeline)
        assert gate_of(pipeline.vae, "decode").function == function  # type: ignore[union-attr]
        assert torch.equal(pipeline.vae.decode(latents).sample, expected)


def test_a_request_is_stopped_at_each_call() -> None:
    pipeline = stable_diffusion()
    put_gates(pipeline)
    generator = torch.Generator().manual_seed(0)
    request = Parked(lambda: pipeline("a car", num_inference_steps=2, guidance_scale=1.0, generator=generator))
    request.switch()
    assert [gate.name for gate, _ in request.calls] == ["text_encoder", "unet", "unet", "unet", "vae.decode"]
    _, first = request.calls[1]
    # Neither what is the default nor what changes nothing keeps calls apart.
    assert list(first) == ["sample", "timestep", "encoder_hidden_states", "return_dict"]
    assert list(request.calls[-1][1]) == ["z", "return_dict"]


def test_parts_stay_where_and_what_they_are_within_a_request() -> None:
    pipeline = stable_diffusion()
    put_gates(pipeline)

    def work() -> None:
        pipeline.vae.to(dtype=torch.float64)
        assert pipeline.vae.dtype is torch.float32
        # What the pipeline turned for a float64 autoencoder is turned back.
        assert pipeline.vae.decode(torch.randn(1, 4, 8, 8, dtype=torch.float64)).sample.dtype is torch.float32

    request = Parked(work)

    def park(gate: Gate, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        return gate.function(**gate.arguments(args, kwargs))

    request.park = park  # type: ignore[method-assign]
    request.switch()
    assert pipeline.vae.to(dtype=torch.float64) is pipeline.vae
    assert pipeline.vae.dtype is torch.float64


def method(sample: Any, scale: float = 1.0, flag: bool = True, extra: Any = None, **more: Any) -> None: ...


def gate(function: Any = method, **options: Any) -> Gate:
    return Gate("model", Stage.DENOISE, function, **options)


def test_arguments_are_the_same_however_they_are_given() -> None:
    sample = torch.zeros(1)
    expected = {"sample": sample, "scale": 2.0, "mask": 3}
    for args, kwargs in (
        ((sample, 2.0), {"mask": 3}),
        ((), {"sample": sample, "scale": 2.0, "flag": True, "extra": None, "mask": 3}),
        ((sample, 2.0, True, None), {"mask": 3}),
    ):
        assert gate().arguments(args, kwargs) == expected


def test_what_only_looks_like_the_default_is_kept() -> None:
    sample = torch.zeros(1)
    assert gate().arguments((sample,), {"flag": 1}) == {"sample": sample, "flag": 1}
    assert gate().arguments((sample,), {"scale": True}) == {"sample": sample, "scale": True}
    assert gate().arguments((sample,), {"scale": 1.0}) == {"sample": sample}


def test_arguments_that_change_nothing_are_left_out() -> None:
    found = gate(ignored=frozenset({"extra", "seed"})).arguments((torch.zeros(1),), {"extra": 1, "seed": 2, "kept": 3})
    assert list(found) == ["sample", "kept"]


def test_what_the_method_does_not_take_is_refused() -> None:
    def strict(sample: Any, *rest: Any) -> None: ...

    with pytest.raises(TypeError, match="unknown"):
        gate(strict).arguments((1,), {"unknown": 2})
    with pytest.raises(TypeError, match="model was called with nameless arguments"):
        gate(strict).arguments((1, 2), {})


def test_tensors_are_turned_into_the_type_that_the_part_has_now() -> None:
    dtype = torch.float16
    casting = gate(dtype=lambda: dtype)
    whole = torch.arange(2)
    found = casting.arguments((torch.zeros(1),), {"extra": whole, "mask": 2.0})
    assert found["sample"].dtype is torch.float16
    assert found["extra"] is whole
    assert found["mask"] == 2.0
    dtype = torch.float64
    assert casting.arguments((torch.zeros(1),), {})["sample"].dtype is torch.float64


@pytest.mark.parametrize(
    ("stage", "side", "most", "expected"),
    [
        (Stage.DECODE, 128, 32, 1),
        (Stage.DECODE, 64, 32, 4),
        (Stage.DECODE, 64, 2, 2),
        (Stage.DECODE, 256, 32, 1),
        (Stage.DENOISE, 256, 32, 32),
    ],
)
def test_few_large_pictures_are_decoded_at_once(stage: Stage, side: int, most: int, expected: int) -> None:
    part = Gate("part", stage, method, autoencodes=stage is Stage.DECODE)
    assert part.most_rows(torch.zeros(1, 4, side, side, device="meta"), most) == expected
    assert part.most_rows(None, most) == most
    # What is no picture fails in the model, and not where passes are put together.
    assert part.most_rows(torch.zeros(1, device="meta"), most) == most


def test_a_processor_autoencodes_one_picture_at_a_time() -> None:
    pipeline = stable_diffusion()
    put_gates(pipeline)
    few = torch.zeros(1, 4, 8, 8)
    for module, name, expected in (
        (pipeline.vae, "encode", 1),
        (pipeline.vae, "decode", 1),
        (pipeline.unet, "forward", 32),
    ):
        found = gate_of(module, name)
        assert found
        assert found.most_rows(few, 32) == expected
        assert found.most_rows(few.to("meta"), 32) == 32


def test_adapters_are_told_by_name() -> None:
    pipeline = stable_diffusion()
    put_gates(pipeline)
    unet_gate: Any = gate_of(pipeline.unet)
    assert unet_gate.adapters == ()
    pipeline.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q"]), "watercolour")
    assert unet_gate.adapters == ("watercolour",)
