"""What a file tells, as data and as JSON."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.diffusion import Metadata, MetadataError, Provenance
from server.diffusion.metadata import UsedLora, from_json, printable, to_json

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
"""However busy the machine is."""

TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
"""Whatever a string of Python holds, lone surrogates and control characters included."""

METADATA = st.builds(
    Metadata,
    prompt=TEXT,
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 4096),
    height=st.integers(1, 4096),
    provenance=st.builds(
        Provenance, TEXT, st.none() | TEXT, st.none() | TEXT, versions=st.dictionaries(TEXT, TEXT, max_size=2)
    ),
    inputs=st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT), max_size=3),
    negative_prompt=st.none() | TEXT,
    num_inference_steps=st.none() | st.integers(0, 500),
    guidance_scale=st.none() | st.floats(0, 50),
    scheduler=st.none() | TEXT,
    loras=st.lists(st.builds(UsedLora, TEXT, st.floats(-2, 2), st.none() | TEXT), max_size=2).map(tuple),
    edited=st.booleans(),
)

PLAIN = Metadata(prompt="a red apple", seed=7, width=64, height=48, provenance=Provenance("emoji"))


@UNHURRIED
@given(METADATA)
def test_json_gives_the_same_back(metadata: Metadata) -> None:
    assert from_json(to_json(metadata)) == metadata


@UNHURRIED
@given(METADATA)
def test_json_is_ascii_proof_utf_8_and_xml(metadata: Metadata) -> None:
    text = to_json(metadata)
    assert "\n" not in text
    element = ElementTree.Element("a")
    element.text = text
    read = ElementTree.fromstring(ElementTree.tostring(element, encoding="utf-8")).text
    assert json.loads(read or "")["seed"] == metadata.seed


@UNHURRIED
@given(TEXT)
def test_what_is_printable_can_be_written_anywhere(text: str) -> None:
    shown = printable(text)
    ElementTree.fromstring(f"<a>{ElementTree.tostring(_element(shown), encoding='unicode')}</a>")
    shown.encode("utf-8")
    shown.encode("utf-16-be")
    assert "\0" not in shown


def _element(text: str) -> ElementTree.Element:
    element = ElementTree.Element("b")
    element.text = text
    return element


def test_ordinary_text_is_printable_as_it_is() -> None:
    assert printable('two "lines"\n\tof tëxt 😀 & <b>') == 'two "lines"\n\tof tëxt 😀 & <b>'
    assert printable("a\0b\ud800c\r\nd\re") == "a\ufffdb\ufffdc\nd\ne"


def test_integers_that_look_like_floats_are_integers() -> None:
    floats: dict[str, Any] = {"seed": 7.0, "num_inference_steps": 20.0}
    metadata = replace(PLAIN, **floats)
    assert from_json(to_json(metadata)) == replace(PLAIN, seed=7, num_inference_steps=20)
    assert '"seed":7,' in to_json(metadata)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("owner/style", "style"),
        ("owner/repo/My Style.safetensors", "My_Style"),
        ("https://example.com/a/b:c.safetensors?download=true", "b_c"),
        ("/models/x.v2.safetensors", "x.v2"),
        ("data:application/octet-stream;base64,AAAA", "octet-stream"),
    ],
)
def test_an_adapter_has_a_name(source: str, name: str) -> None:
    assert UsedLora(source).name == name


def _with(**changes: Any) -> str:
    return json.dumps({**json.loads(to_json(PLAIN)), **changes})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ('{"format": NaN}', "NaN is no number of JSON"),
        ("null", "has the format None"),
        ("[1]", "has the format None"),
        (_with(format=2), "has the format 2, and this version of Darkroom reads 1"),
        (_with(format="1"), "has the format '1'"),
        (_with(seed="7"), r"Expected `int`, got `str` - at `\$.seed`"),
        (_with(seed=-1), r"Expected `int` >= 0 - at `\$.seed`"),
        (_with(seed=7.5), r"Expected `int`, got `float` - at `\$.seed`"),
        (_with(width=0), r"Expected `int` >= 1 - at `\$.width`"),
        (_with(prompt=None), r"Expected `str`, got `null` - at `\$.prompt`"),
        (_with(inputs=[]), r"at `\$.inputs`"),
        (_with(loras=[{"source": 1}]), r"Expected `str`, got `int` - at `\$.loras\[0\].source`"),
        (_with(provenance={}), r"missing required field `model` - at `\$.provenance`"),
        ('{"format": 1}', "missing required field `prompt`"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_says_where(text: str, reason: str) -> None:
    with pytest.raises(MetadataError, match=reason):
        from_json(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@UNHURRIED
@given(st.dictionaries(st.sampled_from([*json.loads(to_json(PLAIN)), "other"]), JSON, max_size=4))
def test_no_change_of_a_record_is_more_than_an_error(changes: dict[str, Any]) -> None:
    with suppress(MetadataError):
        from_json(_with(**changes))


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert from_json(_with(mood="good")) == PLAIN
