"""Several prompts in one text, and the words of one that the model does not see."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from server.diffusion import Engine, InputError, PictureRequest, Warnings, notices
from server.diffusion.defaults import accepted_arguments
from server.diffusion.prompts import split_prompts, watch_length
from tests.diffusion.drawing import draw
from tests.diffusion.tiny_pipelines import BUILDERS

Loaded = Callable[[str], Engine]

SIZES = {"pixart": 256, "sana": 512}
"""The smallest that a model makes, where that is not 32 pixels."""

MOST_WORDS = {
    "stable-diffusion": 75,
    "stable-diffusion-xl": 75,
    # Of their three or two encoders, T5 sees most; its last token is the end of the text.
    "stable-diffusion-3": 255,
    "flux": 511,
    "pixart": 299,
}
"""How many words of one token a model sees, as diffusers has it by default."""


@pytest.mark.parametrize(
    ("text", "delimiter", "expected"),
    [
        ("a cat", None, ("a cat",)),
        ("a | b\nc", None, ("a | b\nc",)),
        ("a | b\nc", "", ("a | b\nc",)),
        ("a cat|a dog", "|", ("a cat", "a dog")),
        (" a cat | a dog ", "|", ("a cat", "a dog")),
        ("|a||b| |", "|", ("a", "b")),
        ("a\nb\r\n\r\nc\n", "\\n", ("a", "b", "c")),
        ("a\nb", "\n", ("a", "b")),
        ("a\\nb", "\n", ("a\\nb",)),
        ("a || b | c", "||", ("a", "b | c")),
        ("a. b", ".", ("a", "b")),
        ("ein Käse、二", "、", ("ein Käse", "二")),
        ("", None, ("",)),
    ],
)
def test_texts_are_split(text: str, delimiter: str | None, expected: tuple[str, ...]) -> None:
    assert split_prompts(text, delimiter) == expected


@pytest.mark.parametrize(("text", "delimiter"), [("", "|"), ("  ", "|"), ("| |", "|"), ("\n\n", "\\n")])
def test_a_text_without_a_prompt_is_refused(text: str, delimiter: str) -> None:
    with pytest.raises(InputError, match=r"prompt: .* Give it some text\.") as caught:
        split_prompts(text, delimiter)
    assert caught.value.input == "prompt"
    assert repr(delimiter) in str(caught.value)


def make(engine: Engine, name: str, strict: bool = False, **changes: Any) -> list[dict[str, str | None]]:
    """The warnings of a request of one step."""
    side, warnings = SIZES.get(name, 32), Warnings(strict)
    given = {"seed": 1, "width": side, "height": side, "num_inference_steps": 1, **changes}
    draw(engine, PictureRequest(**given), warnings=warnings)
    return warnings.to_list()


@pytest.mark.parametrize("name", MOST_WORDS)
def test_words_past_the_limit_are_named(name: str, engine: Loaded) -> None:
    most = MOST_WORDS[name]
    fits = " ".join(["apple"] * most)
    assert make(engine(name), name, prompt=fits) == []
    [warning] = make(engine(name), name, prompt=f"{fits} blue car", num_outputs=2)
    assert (warning["code"], warning["input"]) == ("truncated", "prompt")
    assert "did not see 'blue car'." in str(warning["message"])
    with pytest.raises(InputError, match="'blue car'") as caught:
        make(engine(name), name, strict=True, prompt=f"{fits} blue car")
    assert caught.value.input == "prompt"


# The templates of these stand around the prompt, and each byte is a token of the tiny tokenizer.
@pytest.mark.parametrize("name", ["qwen-image", "z-image"])
def test_words_that_are_past_the_limit_with_a_template_are_named(name: str, engine: Loaded) -> None:
    assert make(engine(name), name, prompt="a " * 100) == []
    [warning] = make(engine(name), name, prompt="a " * 600 + "zebra")
    assert (warning["code"], warning["input"]) == ("truncated", "prompt")
    assert str(warning["message"]).count("zebra") + str(warning["message"]).count("...") == 1


def test_what_is_named_is_what_the_model_does_not_see(engine: Loaded) -> None:
    """Qwen-Image drops some of what its text encoder has read: 512 tokens remain behind the template's beginning."""
    loaded: Any = engine("qwen-image")

    def seen(prompt: str) -> Any:
        with torch.no_grad():
            return loaded.pipeline.encode_prompt(prompt, device="cpu", max_sequence_length=512)[0]

    [warning] = make(loaded, "qwen-image", prompt="a" * 600 + "zebra")
    lost = re.search(r"did not see '(a+)zebra'", str(warning["message"]))
    assert lost
    kept = 600 - len(lost[1])
    assert torch.equal(seen("a" * kept + "b"), seen("a" * kept + "c"))
    assert not torch.equal(seen("a" * (kept - 1) + "b"), seen("a" * (kept - 1) + "c"))
    assert make(loaded, "qwen-image", prompt="a" * kept) == []
    assert make(loaded, "qwen-image", prompt="a" * (kept + 1)) != []


def test_the_words_before_a_prompt_do_not_count() -> None:
    """Sana puts instructions before the prompt, which are longer than most prompts."""

    def told(prompt: str) -> list[notices.Notice]:
        pipeline = BUILDERS["sana"]()
        instruction = accepted_arguments(pipeline)["complex_human_instruction"]
        watch_length(pipeline, prompt, None)
        with torch.no_grad(), notices.heard(quietly=True) as said:
            pipeline.encode_prompt(prompt, device="cpu", complex_human_instruction=instruction)
        return said

    assert told(" ".join(["apple"] * 290)) == []
    [notice] = told(" ".join(["apple"] * 300) + " blue car")
    assert notice.input == "prompt"
    assert "blue" in notice.message


@pytest.mark.parametrize("name", ["stable-diffusion", "stable-diffusion-xl", "stable-diffusion-3", "pixart", "z-image"])
def test_a_negative_prompt_is_told_from_the_prompt(name: str, engine: Loaded) -> None:
    long = "Red apple " * 300
    given: dict[str, Any] = {"guidance_scale": 3.0}
    [warning] = make(engine(name), name, prompt="red", negative_prompt=f"{long}on white", **given)
    assert (warning["code"], warning["input"]) == ("truncated", "negative_prompt")
    [warning] = make(engine(name), name, prompt=f"{long}on white", negative_prompt="red", **given)
    assert (warning["code"], warning["input"]) == ("truncated", "prompt")
    # Both begin alike.
    both = make(engine(name), name, prompt=f"{long}on white", negative_prompt=f"{long}on a car", **given)
    assert [warning["input"] for warning in both] in (
        ["prompt", "negative_prompt"],
        ["negative_prompt", "prompt"],
    )


def test_each_of_several_prompts_is_told_of(engine: Loaded) -> None:
    long = "red apple " * 40
    prompt = f"{long}on a car|a cat|{long}on the cat"
    warnings = make(engine("stable-diffusion"), "stable-diffusion", prompt=prompt, prompt_delimiter="|", num_outputs=2)
    assert [warning["input"] for warning in warnings] == ["prompt"] * 2
    said = " ".join(str(warning["message"]) for warning in warnings)
    assert "on a car'" in said
    assert "on the cat'" in said


def test_a_prompt_that_is_known_is_told_of_again(engine: Loaded) -> None:
    """Its embeddings are kept, and the text is not cut again."""
    loaded: Any = engine("stable-diffusion")
    prompt = "green apple " * 50
    encoded = 0

    def count(*_: Any) -> None:
        nonlocal encoded
        encoded += 1

    hook = loaded.pipeline.text_encoder.register_forward_pre_hook(count)
    first = make(loaded, "stable-diffusion", prompt=prompt)
    passes = encoded
    again = make(loaded, "stable-diffusion", prompt=prompt)
    hook.remove()
    assert encoded == passes > 0
    assert len(first) == 1
    assert again == first
    with pytest.raises(InputError):
        make(loaded, "stable-diffusion", strict=True, prompt=prompt)


@pytest.mark.parametrize("name", BUILDERS)
def test_watching_changes_no_pixel_and_leaves_no_trace(name: str, engine: Loaded) -> None:
    loaded: Any = engine(name)
    before = {each: part for each, part in loaded.pipeline.components.items() if "tokenizer" in each}
    with torch.no_grad():
        make(loaded, name, prompt="a red apple")
    after = {each: part for each, part in loaded.pipeline.components.items() if "tokenizer" in each}
    assert before == after
    assert all(type(part).__name__ != "Watching" for part in after.values())
