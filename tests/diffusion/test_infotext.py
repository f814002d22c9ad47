"""AUTOMATIC1111's line, read as that program and those that go by it do."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given

from server.diffusion import Metadata, Provenance
from server.diffusion.infotext import infotext
from server.diffusion.metadata import UsedLora, printable
from tests.diffusion.test_metadata import METADATA, UNHURRIED

APPLE = Metadata(
    prompt="a red apple",
    negative_prompt="text, frame",
    seed=965400086,
    width=512,
    height=768,
    num_inference_steps=20,
    guidance_scale=7.5,
    scheduler="K_EULER_ANCESTRAL",
    provenance=Provenance("sd-v1-5", digest="45dee52b" * 8, versions={"darkroom": "0.1.0"}),
)

# A name, a colon, and a string of JSON or whatever has no comma; as the web UI reads it.
_PAIR = re.compile(r'([A-Za-z][\w /-]*): *("(?:[^"\\]|\\.)*"|[^,]*)(?:, *|$)')


def parse(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt and parameters, by the rules of the web UI: the last line has the parameters if it has
    three or more, and each line of the prompts stands without the space around it.
    """
    *lines, last = text.strip().split("\n")
    lines = [line.strip() for line in lines]
    start = next((number for number, line in enumerate(lines) if line.startswith("Negative prompt:")), len(lines))
    negative = "\n".join(lines[start:]).removeprefix("Negative prompt:").strip()
    pairs = _PAIR.findall(last)
    assert len(pairs) >= 3
    assert "".join(match[0] for match in _PAIR.finditer(last)) == last
    return (
        "\n".join(lines[:start]),
        negative,
        {name: json.loads(value) if value.startswith('"') else value for name, value in pairs},
    )


def test_it_is_written_as_the_web_ui_writes_it() -> None:
    assert infotext(APPLE) == (
        "a red apple\n"
        "Negative prompt: text, frame\n"
        "Steps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: 965400086, Size: 512x768, Model hash: 45dee52b45, "
        "Model: sd-v1-5, RNG: CPU, Version: Darkroom 0.1.0"
    )


def test_values_with_commas_and_colons_are_quoted() -> None:
    metadata = replace(
        APPLE,
        provenance=Provenance('owner/a, "b": c'),
        loras=(UsedLora("x/pixel art.safetensors", 0.8, "ab" * 32), UsedLora("y", 1.0, "cd" * 32)),
        strength=0.6,
        scheduler="KarrasDPM",
    )
    prompt, _, parameters = parse(infotext(metadata))
    assert prompt == "a red apple <lora:pixel_art:0.8> <lora:y:1.0>"
    assert '"owner/a, \\"b\\": c"' in infotext(metadata)
    assert parameters["Model"] == 'owner/a, "b": c'
    assert parameters["Lora hashes"] == "pixel_art: ababababab, y: cdcdcdcdcd"
    assert (parameters["Sampler"], parameters["Schedule type"]) == ("DPM++ 2M", "Karras")
    assert parameters["Denoising strength"] == "0.6"


def test_prompts_of_several_lines() -> None:
    text = infotext(replace(APPLE, prompt="one\ntwo: 3, 4\n\nfive", negative_prompt="six\nseven"))
    assert parse(text)[:2] == ("one\ntwo: 3, 4\n\nfive", "six\nseven")


def test_what_the_model_has_not_is_left_out() -> None:
    bare = Metadata(prompt="", seed=1, width=8, height=8, provenance=Provenance("m"))
    assert infotext(bare) == "Seed: 1, Size: 8x8, Model: m, RNG: CPU, Version: Darkroom"


@pytest.mark.parametrize(
    ("scheduler", "sampler"),
    [
        ("DDIM", "DDIM"),
        ("DDIMScheduler", "DDIM"),
        ("DPMSolverMultistep", "DPM++ 2M"),
        ("DPMSolverMultistepScheduler", "DPM++ 2M"),
        ("EulerDiscreteScheduler", "Euler"),
        ("FlowMatchEulerDiscreteScheduler", "Euler"),
        ("HeunDiscrete", "Heun"),
        ("K_EULER", "Euler"),
        ("KLMS", "LMS"),
        ("PNDM", "PLMS"),
        ("UniPC", "UniPC"),
        ("SomethingNewScheduler", "SomethingNewScheduler"),
    ],
)
def test_samplers_have_the_names_of_the_web_ui(scheduler: str, sampler: str) -> None:
    assert parse(infotext(replace(APPLE, scheduler=scheduler)))[2]["Sampler"] == sampler


def _lines(text: str | None) -> str:
    """What the web UI makes of a prompt, blank lines around it left out."""
    return "\n".join(line.strip() for line in printable(text or "").strip().split("\n")).strip()


@UNHURRIED
@given(METADATA)
def test_any_text_is_read_back(metadata: Metadata) -> None:
    metadata = replace(metadata, loras=())
    prompt, negative, parameters = parse(infotext(metadata))
    if "Negative prompt:" not in metadata.prompt:
        assert prompt.strip() == _lines(metadata.prompt)
        assert negative.strip() == _lines(metadata.negative_prompt)
    assert parameters["Seed"] == str(metadata.seed)
    assert parameters["Size"] == f"{metadata.width}x{metadata.height}"
    assert parameters["Model"].strip() == printable(metadata.provenance.model).strip()


@pytest.mark.parametrize("model", ['"quoted"', ' "half', 'in "the" middle', "a:b", "a, b", "two\nlines", "back\\slash"])
def test_a_name_with_quotation_marks_is_read_back(model: str) -> None:
    text = infotext(replace(APPLE, provenance=Provenance(model)))
    assert parse(text)[2]["Model"] == model
    assert parse(text)[2]["Seed"] == "965400086"
