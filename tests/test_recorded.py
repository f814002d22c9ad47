"""The inputs that make a picture again."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.assignments import read_inputs
from server.diffusion import Metadata, Provenance, record_inputs
from server.errors import DarkroomError, InvalidRequest, ReproductionError
from server.recorded import recorded_inputs
from server.schema.signature import InputField, Kind, OutputType, Signature, ValueType

PATH, STRING, INTEGER = ValueType(Kind.PATH), ValueType(Kind.STRING), ValueType(Kind.INTEGER)
TYPES = {
    "prompt": STRING,
    "seed": INTEGER,
    "num_outputs": INTEGER,
    "width": INTEGER,
    "image": PATH,
    "styles": ValueType(Kind.LIST, (PATH,)),
    "token": ValueType(Kind.SECRET),
    "lora_weights": STRING,
    "preview_interval": INTEGER,
}
SIGNATURE = Signature(
    tuple(InputField(name, type_, required=name == "prompt", le=9999) for name, type_ in TYPES.items()),
    OutputType(PATH),
)
URL = "https://example.com/a.safetensors?token=hunter2"


def metadata(**inputs: Any) -> Metadata:
    """Of the third picture of a request, that was made from another prompt and seed than the first."""
    return Metadata(
        prompt="x", seed=7, width=8, height=8, provenance=Provenance("m"), inputs={"prompt": "w|x", **inputs}, index=2
    )


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three files in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("photo", "one", "two"):
        Path(name).write_text(name)


def digest(name: str) -> dict[str, str]:
    return {"$sha256": hashlib.sha256(name.encode()).hexdigest()}


def test_one_picture_is_asked_for_by_its_own_prompt_and_seed(capsys: pytest.CaptureFixture[str]) -> None:
    inputs = {"seed": 5, "num_outputs": 4, "width": 64, "image": None, "preview_interval": 2, "prompt_delimiter": "|"}
    assert recorded_inputs(metadata(**inputs), SIGNATURE, []) == {
        "prompt": "x",
        "seed": 7,
        "num_outputs": 1,
        "width": 64,
    }
    assert capsys.readouterr().err == ""


def test_a_seed_that_was_drawn_is_given() -> None:
    assert recorded_inputs(metadata(seed=None), SIGNATURE, [])["seed"] == 7


def test_inputs_that_the_predictor_has_not_are_left_out_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    only = Signature(SIGNATURE.inputs[:1], SIGNATURE.output)
    assert recorded_inputs(metadata(mood="good", width=5, seed=None), only, []) == {"prompt": "x"}
    assert "Note: the predictor has no such input, left out: mood, width.\n" in capsys.readouterr().err


async def test_files_and_secrets_that_are_brought_take_their_places(tmp_path: Path) -> None:
    record = metadata(
        image=digest("photo"),
        styles=[digest("one"), digest("two")],
        token={"$withheld": None},
        lora_weights={"$withheld": "https://example.com/a.safetensors"},
    )
    given = ["styles=@one", "image=@photo", "token=hunter2", f"lora_weights={URL}", "styles=@two"]
    inputs = recorded_inputs(record, SIGNATURE, given)
    assert inputs["image"] == "@photo"
    assert inputs["styles"] == ["@one", "@two"]
    assert (inputs["token"], inputs["lora_weights"]) == ("hunter2", URL)
    values = await read_inputs(SIGNATURE, inputs, tmp_path, 100)
    assert [file.path for file in (values["image"], *values["styles"])] == [
        str(tmp_path / name) for name in ("photo", "one", "two")
    ]


def test_a_file_that_was_sent_as_text_is_sent_so_again() -> None:
    inputs = recorded_inputs(metadata(lora_weights=digest("one")), SIGNATURE, ["lora_weights=@one"])
    assert inputs["lora_weights"] == f"data:application/octet-stream;base64,{base64.b64encode(b'one').decode()}"
    assert record_inputs({"a": inputs["lora_weights"]}) == {"a": digest("one")}


GIVEN = {
    "image": ["@photo"],
    "styles": ["@one", "@two"],
    "token": ["hunter2"],
    "lora_weights": [URL],
}


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        ({"image": []}, f"image: the picture was made with the file of SHA-256 {digest('photo')['$sha256']}, and its"),
        ({"image": []}, "Give it by -i image=@FILE; 0 given."),
        ({"image": ["@one"]}, f"not {digest('photo')['$sha256']}. Give the file as it was sent."),
        ({"image": ["@absent"]}, "-i image=@absent: there is no such file"),
        ({"image": ["@."]}, "-i image=@.: there is no such file"),
        ({"image": ["photo"]}, "Write -i image=@FILE"),
        ({"image": ["@photo", "@photo"]}, "2 given."),
        ({"styles": ["@one"]}, "-i styles=@FILE, 2 times in this order; 1 given."),
        ({"styles": ["@two", "@one"]}, "this is another file than the one"),
        ({"token": []}, "token: the picture was made with what was withheld of it, and"),
        ({"lora_weights": []}, "what was withheld of https://example.com/a.safetensors, and"),
        ({"width": ["3"]}, "-i width: the picture's file tells the other inputs itself. It needs image, lora_weights,"),
        ({"mood": ["3"]}, "-i mood: the picture's file tells the other inputs itself."),
    ],
)
def test_what_is_missing_or_wrong_is_said(instead: dict[str, list[str]], reason: str) -> None:
    record = metadata(
        width=3,
        image=digest("photo"),
        styles=[digest("one"), digest("two")],
        token={"$withheld": None},
        lora_weights={"$withheld": "https://example.com/a.safetensors"},
    )
    given = [f"{name}={value}" for name, values in {**GIVEN, **instead}.items() for value in values]
    with pytest.raises(ReproductionError) as caught:
        recorded_inputs(record, SIGNATURE, given)
    assert reason in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "reason"),
    [("image", "there is no `=` in it"), ("image=@photo", "tells the other inputs itself. It needs nothing more.")],
)
def test_nothing_else_can_be_given(given: str, reason: str) -> None:
    with pytest.raises(ReproductionError, match=reason):
        recorded_inputs(metadata(), SIGNATURE, [given])


@pytest.mark.parametrize("value", ["@/etc/passwd", "http://127.0.0.1/", "https://example.com/", "data:,x"])
@pytest.mark.parametrize("name", ["image", "styles"])
def test_a_record_that_points_to_files_is_not_followed(name: str, value: str) -> None:
    with pytest.raises(ReproductionError, match=f"{name}: what the file tells of it points somewhere else"):
        recorded_inputs(metadata(**{name: value if name == "image" else [value]}), SIGNATURE, [])


@pytest.mark.parametrize(
    "inputs",
    [
        {"width": "many"},
        {"width": 10_000},
        {"width": {"$sha256": "0"}},
        {"image": 5},
        {"image": [[{"$sha256": 5}]]},
        {"image": {"a": {"b": "@/etc/passwd"}}},
        {"styles": [[["@/etc/passwd"]]]},
        {"styles": [{"a": "@/etc/passwd"}]},
        {"token": {"$withheld": {}}},
        {"lora_weights": [1]},
        {"lora_weights": {}},
    ],
)
async def test_a_record_that_was_tampered_with_is_a_clear_error(inputs: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises((ReproductionError, InvalidRequest)):
        await read_inputs(SIGNATURE, recorded_inputs(metadata(**inputs), SIGNATURE, []), tmp_path, 100)


async def test_a_seed_that_was_tampered_with_is_checked_as_any_input(tmp_path: Path) -> None:
    record = replace(metadata(), seed=2**70)
    with pytest.raises(DarkroomError, match=r"seed: .* is greater than the maximum of 9999"):
        await read_inputs(SIGNATURE, recorded_inputs(record, SIGNATURE, []), tmp_path, 100)
