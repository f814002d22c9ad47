"""Embeddings that are kept for the next request of the same prompt."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig

from server.diffusion import notices
from server.diffusion.embeddings import Embeddings
from server.diffusion.pipeline import private_copy
from server.diffusion.prompts import watch_length
from server.diffusion.warnings import Warnings
from tests.diffusion.tiny_pipelines import diffusers, stable_diffusion, stable_diffusion_xl


class Counted:
    """A pipeline whose text encoder's passes are counted."""

    def __init__(self, build: Callable[[], Any] = stable_diffusion) -> None:
        self.pipeline = build()
        self.encoded = 0
        self.pipeline.text_encoder.register_forward_pre_hook(self._count)

    def copy(self, embeddings: Embeddings) -> Any:
        copy = private_copy(self.pipeline, self.pipeline.scheduler)
        embeddings.attach(copy)
        return copy

    def _count(self, *_: Any) -> None:
        self.encoded += 1


def encode(pipeline: Any, prompt: Any, *args: Any, **kwargs: Any) -> Any:
    with torch.no_grad():
        return pipeline.encode_prompt(prompt, "cpu", 1, True, *args, **kwargs)


def equal(one: Any, other: Any) -> bool:
    return all(a is b or torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_known_prompt_is_not_encoded_again() -> None:
    counted, embeddings = Counted(), Embeddings()
    expected = encode(counted.pipeline, "a red apple", negative_prompt="blue")
    counted.encoded = 0
    first = encode(counted.copy(embeddings), "a red apple", negative_prompt="blue")
    passes = counted.encoded
    # By another copy, and however the arguments are given.
    again = encode(counted.copy(embeddings), "a red apple", "blue")
    assert passes > 0
    assert counted.encoded == passes
    assert equal(first, expected)
    assert equal(again, expected)


@pytest.mark.parametrize(
    "change",
    [
        {"negative_prompt": "red"},
        {"negative_prompt": None},
        {"prompt": "a red apple."},
        {"prompt": ["a red apple"], "negative_prompt": None},
        {"num_images_per_prompt": 2},
        {"do_classifier_free_guidance": False},
    ],
    ids=str,
)
def test_what_differs_in_anything_is_encoded(change: dict[str, Any]) -> None:
    counted, embeddings = Counted(), Embeddings()
    given: dict[str, Any] = {
        "prompt": "a red apple",
        "device": "cpu",
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": True,
        "negative_prompt": "blue",
    }
    with torch.no_grad():
        counted.copy(embeddings).encode_prompt(**given)
        before = counted.encoded
        found = counted.copy(embeddings).encode_prompt(**given | change)
        assert counted.encoded > before
        assert equal(found, counted.pipeline.encode_prompt(**given | change))


def test_arguments_that_are_no_plain_values_are_not_looked_up() -> None:
    counted, embeddings = Counted(), Embeddings()
    own = torch.randn(1, 77, 32)
    pipeline = counted.copy(embeddings)
    for _ in range(2):
        prompts, _ = encode(pipeline, None, None, own, negative_prompt_embeds=own)
        assert torch.equal(prompts, own)
    assert not embeddings._kept


def test_writing_to_embeddings_changes_nobody_elses() -> None:
    counted, embeddings = Counted(stable_diffusion_xl), Embeddings()

    def encoded() -> Any:
        with torch.no_grad():
            return counted.copy(embeddings).encode_prompt("a red apple", device="cpu")

    first = encoded()
    expected = [tensor.clone() for tensor in first]
    for tensor in first:
        tensor.zero_()
    second = encoded()
    assert equal(second, expected)
    for tensor in second:
        tensor.zero_()
    assert equal(encoded(), expected)


def test_another_pipeline_of_the_same_kind_has_embeddings_of_its_own() -> None:
    embeddings = Embeddings()
    one, other = Counted(), Counted()
    encode(one.copy(embeddings), "a red apple")
    assert equal(encode(other.copy(embeddings), "a red apple"), encode(other.pipeline, "a red apple"))


def test_encoders_with_adapters_are_always_asked() -> None:
    counted, embeddings = Counted(), Embeddings()
    plain = encode(counted.copy(embeddings), "a red apple")
    counted.pipeline.text_encoder.add_adapter(LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    adapted = encode(counted.copy(embeddings), "a red apple")
    assert not equal(adapted, plain)
    assert equal(adapted, encode(counted.pipeline, "a red apple"))
    before = counted.encoded
    encode(counted.copy(embeddings), "a red apple")
    assert counted.encoded > before


def test_what_a_request_changes_of_its_copy_is_its_own() -> None:
    counted, other, embeddings = Counted(), Counted(), Embeddings()
    changed = counted.copy(embeddings)
    changed.text_encoder = other.pipeline.text_encoder
    assert equal(encode(changed, "a red apple"), encode(other.pipeline, "a red apple"))
    assert equal(encode(counted.copy(embeddings), "a red apple"), encode(counted.pipeline, "a red apple"))


def test_a_tokenizer_of_its_own_is_asked() -> None:
    counted, embeddings = Counted(), Embeddings()
    known = encode(counted.copy(embeddings), "a red apple")
    changed = counted.copy(embeddings)
    changed.tokenizer = copy.deepcopy(changed.tokenizer)
    changed.tokenizer.add_prefix_space = None
    before = counted.encoded
    encode(changed, "a red apple")
    assert counted.encoded > before
    # That it is watched makes none of it.
    before = counted.encoded
    assert equal(encode(watched(counted.copy(embeddings), "a red apple"), "a red apple"), known)
    assert counted.encoded == before


def test_pipelines_of_the_same_parts_that_are_set_up_differently() -> None:
    pipeline, embeddings = stable_diffusion_xl(), Embeddings()
    parts = {name: part for name, part in pipeline.components.items() if part is not None}
    found = []
    for zeros in (True, False):
        stock = diffusers.StableDiffusionXLPipeline(**parts, force_zeros_for_empty_prompt=zeros)
        own: Any = private_copy(stock, stock.scheduler)
        embeddings.attach(own)
        with torch.no_grad():
            found.append(own.encode_prompt("a red apple", device="cpu"))
            assert equal(found[-1], stock.encode_prompt("a red apple", device="cpu"))
    assert not equal(*found)


def test_what_was_cast_automatically_or_keeps_gradients_is_not_kept() -> None:
    counted, embeddings = Counted(), Embeddings()
    expected = encode(counted.pipeline, "a red apple")
    with torch.autocast("cpu", torch.bfloat16):
        assert not equal(encode(counted.copy(embeddings), "a red apple"), expected)
    with torch.enable_grad():
        assert counted.copy(embeddings).encode_prompt("a red apple", "cpu", 1, False)[0].requires_grad
    assert equal(encode(counted.copy(embeddings), "a red apple"), expected)
    with torch.enable_grad():
        assert counted.copy(embeddings).encode_prompt("a red apple", "cpu", 1, True)[0].requires_grad


def test_encoders_that_were_changed_are_asked_again_once_told() -> None:
    counted, embeddings = Counted(), Embeddings()
    encode(counted.copy(embeddings), "a red apple")
    with torch.no_grad():
        counted.pipeline.text_encoder.final_layer_norm.bias += 1
    embeddings.forget()
    assert embeddings._bytes == 0
    assert equal(encode(counted.copy(embeddings), "a red apple"), encode(counted.pipeline, "a red apple"))


def test_those_not_used_for_longest_make_room() -> None:
    counted = Counted()
    size = sum(tensor.nbytes for tensor in encode(counted.pipeline, "a"))
    embeddings = Embeddings(most_bytes=2 * size)
    pipeline = counted.copy(embeddings)

    def is_encoded(prompt: str) -> bool:
        before = counted.encoded
        encode(pipeline, prompt)
        return counted.encoded > before

    assert is_encoded("a")
    assert is_encoded("b")
    assert not is_encoded("a")
    assert is_encoded("c")
    assert not is_encoded("a")
    assert is_encoded("b")
    assert embeddings._bytes == 2 * size


def test_what_is_larger_than_all_the_room_is_not_kept() -> None:
    counted, embeddings = Counted(), Embeddings(most_bytes=100)
    encode(counted.copy(embeddings), "a")
    assert (embeddings._bytes, len(embeddings._kept)) == (0, 0)


def test_results_of_which_there_cannot_be_a_copy_are_not_kept() -> None:
    embeddings, encoder = Embeddings(), object()
    asked: list[str] = []

    def encode_prompt(prompt: str) -> Any:
        asked.append(prompt)
        return torch.zeros(1), encoder

    pipeline: Any = SimpleNamespace(encode_prompt=encode_prompt, components={})
    embeddings.attach(pipeline)
    for _ in range(2):
        assert pipeline.encode_prompt("a")[1] is encoder
    assert asked == ["a", "a"]


def test_a_pipeline_that_encodes_no_prompts_is_left_alone() -> None:
    pipeline: Any = SimpleNamespace(components={})
    Embeddings().attach(pipeline)
    assert not hasattr(pipeline, "encode_prompt")


def watched(pipeline: Any, prompt: str, negative_prompt: str | None = None) -> Any:
    watch_length(pipeline, prompt, negative_prompt)
    return pipeline


def test_notices_are_repeated_to_each_request(capfd: pytest.CaptureFixture[str]) -> None:
    """That words are cut off is told to whoever asks, not only to who asked first."""
    counted, embeddings = Counted(), Embeddings()
    prompt = "a red apple " * 40 + "with a zebra"
    for _ in range(2):
        with notices.told_to(Warnings()):
            encode(watched(counted.copy(embeddings), prompt), prompt)
        told = capfd.readouterr().err
        assert told.count("zebra") == 1
    # Once a request, whoever it was that encoded it.
    with notices.told_to(Warnings()):
        for _ in range(2):
            encode(watched(counted.copy(embeddings), prompt), prompt)
    assert capfd.readouterr().err.count("zebra") == 1


def test_a_notice_names_the_input_of_the_request_that_it_is_told_to() -> None:
    """Some pipelines encode the negative prompt as they do the prompt."""
    counted, embeddings = Counted(), Embeddings()
    long = "a red apple " * 40
    named = []
    for prompt, negative_prompt in (("a cat", long), (long, None), ("a cat", long)):
        warnings = Warnings()
        with notices.told_to(warnings):
            encode(watched(counted.copy(embeddings), prompt, negative_prompt), long)
        named += [warning["input"] for warning in warnings.to_list()]
    assert named == ["negative_prompt", "prompt", "negative_prompt"]
