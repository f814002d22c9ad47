"""The examples in the OpenAPI document fit the schema that they stand beside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.schema.examples import example_input
from server.schema.inspect import inspect_predictor
from server.schema.openapi import openapi_document
from server.schema.signature import InputField, Kind, Mode, OutputType, Signature, ValueType
from server.schema.validation import InputValidator
from tests.conftest import ROOT
from tests.schema.conftest import Load

PREDICTORS = sorted((ROOT / "tests" / "schemas").glob("*.py"))
TEXT = OutputType(ValueType(Kind.STRING))
STRING = InputField("text", ValueType(Kind.STRING), required=True)
INTEGER = InputField("n", ValueType(Kind.INTEGER), required=True)


def bodies(document: dict[str, Any]) -> dict[str, Any]:
    """The example of each operation that takes a body, by path."""
    operations = [(path, each) for path, item in document["paths"].items() for each in item.values()]
    return {
        path: each["requestBody"]["content"]["application/json"].get("example")
        for path, each in operations
        if "requestBody" in each
    }


@pytest.mark.parametrize("path", PREDICTORS, ids=lambda path: path.stem)
def test_each_fits_the_schema(path: Path, load: Load) -> None:
    signature = inspect_predictor(load(path))
    found = bodies(openapi_document(signature))
    assert set(found) == {"/predictions", "/predictions/{prediction_id}"}
    for body in found.values():
        assert InputValidator(signature).validate(body["input"]).unknown == ()


@pytest.mark.parametrize(
    "field",
    [
        replace(STRING, min_length=20),
        replace(STRING, max_length=1),
        replace(STRING, min_length=3, max_length=3),
        replace(STRING, min_length=3, max_length=3, regex="^[0-9]+$"),
        replace(STRING, regex="^#[0-9a-f]{6}$"),
        replace(STRING, regex="^https://"),
        replace(STRING, choices=("b", "a")),
        replace(INTEGER, ge=7, le=9),
        replace(INTEGER, le=-3),
        replace(INTEGER, ge=65, le=2048, multiple_of=8),
        replace(INTEGER, ge=65, le=70, multiple_of=8),
        replace(INTEGER, ge=0.5),
        replace(INTEGER, choices=(4, 2)),
        replace(INTEGER, type=ValueType(Kind.NUMBER), ge=0.25, le=0.5),
        replace(STRING, name="mask", type=ValueType(Kind.PATH)),
        replace(STRING, type=ValueType(Kind.LIST, (ValueType(Kind.NUMBER),))),
        replace(STRING, type=ValueType(Kind.LIST, (ValueType(Kind.STRING),)), choices=("b", "a")),
        replace(STRING, type=ValueType(Kind.MAPPING, (ValueType(Kind.INTEGER),))),
    ],
    ids=str,
)
def test_limits_are_kept(field: InputField) -> None:
    signature = Signature((field,), TEXT)
    [value] = InputValidator(signature).validate(example_input(signature.inputs)).values.values()
    assert field.multiple_of is None or value % field.multiple_of == 0 or field.le == 70


def test_a_pattern_that_nothing_is_known_for_has_none() -> None:
    signature = Signature((replace(STRING, regex="^Q{7}[xyz]$"),), TEXT)
    assert set(bodies(openapi_document(signature)).values()) == {None}
    # What is not required is not needed.
    optional = replace(STRING, regex="^Q{7}[xyz]$", required=False)
    assert bodies(openapi_document(Signature((optional,), TEXT)))["/predictions"] == {"input": {}}


def test_those_of_trainings_are_the_trainers() -> None:
    """Names that look like words of the document stay as they are."""
    predict = Signature((STRING,), TEXT)
    train = Signature((replace(INTEGER, name="prediction_count"),), TEXT)
    found = bodies(openapi_document({Mode.PREDICT: predict, Mode.TRAIN: train}))
    assert found["/predictions"] == {"input": {"text": "a red apple"}}
    assert found["/trainings"] == found["/trainings/{training_id}"] == {"input": {"prediction_count": 1}}
