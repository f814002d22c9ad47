"""Several prompts in one text, and the words of one that the model does not see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from server.diffusion import Engine, InputError, PictureRequest, Warnings
from server.diffusion.prompts import split_prompts
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
    assert "..." in str(warning["message"])


@pytest.mark.parametrize("name", ["qwen-image"])
def test_what_is_named_is_what_makes_no_difference(name: str, engine: Loaded) -> None:
    """The pixels tell how much of a prompt the pipeline has seen."""
    loaded = engine(name)

    def pixels(prompt: str) -> Any:
        request = PictureRequest(prompt=prompt, seed=1, width=32, height=32, num_inference_steps=1)
        return draw(loaded, request)[0].image.tobytes()

    start = next(length for length in range(400, 800) if make(loaded, name, prompt="a" * length))
    cut = "a" * (start + 40)
    assert pixels(cut + "b") == pixels(cut + "c")
    seen = "a" * (start - 2)
    assert pixels(seen + "b") != pixels(seen + "c")


def test_the_words_before_a_prompt_do_not_count(engine: Loaded) -> None:
    """Sana puts instructions before the prompt, which are longer than most prompts."""
    assert make(engine("sana"), "sana", prompt=" ".join(["apple"] * 200)) == []
    [warning] = make(engine("sana"), "sana", prompt=" ".join(["apple"] * 400) + " blue car")
    assert (warning["code"], warning["input"]) == ("truncated", "prompt")
    assert "blue car" in str(warning["message"])


@pytest.mark.parametrize("name", ["stable-diffusion", "stable-diffusion-xl", "stable-diffusion-3", "pixart", "z-image"])
def test_a_negative_prompt_is_told_from_the_prompt(name: str, engine: Loaded) -> None:
    long = "Red apple " * 300
    given = {"guidance_scale": 3.0}
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
