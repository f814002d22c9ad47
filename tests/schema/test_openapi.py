"""The OpenAPI document against those that Cog's own generator made."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

from server.schema.bodies import ID_PATTERN
from server.schema.inspect import inspect_predictor
from server.schema.openapi import openapi_document
from server.schema.signature import InputField, Kind, Mode, OutputType, Signature, ValueType
from tests.conftest import ROOT
from tests.schema.conftest import Load

GOLDENS = sorted((ROOT / "tests" / "schemas").glob("*.json"))
TEXT = OutputType(ValueType(Kind.STRING))

# What is the same for every model may say more than Cog's; the rest is the model's own and must be equal.
SHARED = {"PredictionRequest", "PredictionResponse", "Status", "HTTPValidationError", "ValidationError"}


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda path: path.stem)
def test_the_document_is_what_cog_makes_of_the_predictor(golden: Path, load: Load) -> None:
    expected = json.loads(golden.read_text())
    document = openapi_document(inspect_predictor(load(golden.with_suffix(".py"))))
    for name in expected["components"]["schemas"].keys() - SHARED:
        assert document["components"]["schemas"][name] == expected["components"]["schemas"][name]
    # The generator that made the goldens did not know its own version.
    del expected["info"]["version"]
    assert not list(_lacks(document, expected))


def test_every_golden_has_its_predictor() -> None:
    assert len(GOLDENS) >= 39
    assert all(golden.with_suffix(".py").exists() for golden in GOLDENS)


def test_a_streaming_predictor_is_marked() -> None:
    post = openapi_document(Signature((), TEXT, streaming=True))["paths"]["/predictions"]["post"]
    assert post["x-cog-streaming"] is True
    assert "x-cog-streaming" not in openapi_document(Signature((), TEXT))["paths"]["/predictions"]["post"]


def test_the_api_is_titled_and_described() -> None:
    signature = Signature((), TEXT, description="Say hello.")
    assert openapi_document(signature)["info"] == {"title": "Cog", "version": "0.23.1", "description": "Say hello."}
    assert openapi_document(signature, "emoji", "2")["info"]["title"] == "emoji"


def _choice(*choices: str) -> Signature:
    return Signature((InputField("size", ValueType(Kind.STRING), required=True, choices=choices),), TEXT)


MODELS = {
    "predicts": {Mode.PREDICT: _choice("small", "large")},
    "trains": {Mode.TRAIN: _choice("small", "large")},
    "both": {Mode.PREDICT: _choice("small", "large"), Mode.TRAIN: _choice("small", "large")},
    "differ": {Mode.PREDICT: _choice("small", "large"), Mode.TRAIN: _choice("long", "short")},
}
models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


@models
def test_every_reference_leads_somewhere(model: dict[Mode, Signature]) -> None:
    document = openapi_document(model)
    references = set(_references(document))
    assert "#/components/schemas/size" in references
    for reference in references:
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


@models
def test_every_operation_and_response_is_described(model: dict[Mode, Signature]) -> None:
    document = openapi_document(model)
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert all(response["description"] for response in operation["responses"].values())


@pytest.mark.parametrize("name", ["PredictionRequest", "PredictionOnceRequest"])
@pytest.mark.parametrize(
    ("body", "with_all", "with_none"),
    [
        ({}, False, True),
        ({"input": {}}, False, True),
        ({"input": None}, False, True),
        ({"input": {"must": 1}}, True, True),
        ({"input": {"must": 1, "may": 1}}, True, True),
        ({"input": {"must": 1, "may": None}}, False, True),
        ({"input": []}, False, False),
    ],
)
def test_the_body_of_a_request_is_described_as_it_is_taken(
    name: str, body: Any, with_all: bool, with_none: bool
) -> None:
    integer = ValueType(Kind.INTEGER)
    fields = (
        InputField("must", integer, required=True),
        InputField("may", replace(integer, nullable=True), required=False, has_default=True),
    )
    assert _is_valid(body, name, Signature(fields, TEXT)) is with_all
    assert _is_valid(body, name, Signature((), TEXT)) is with_none


def test_a_body_must_be_sent_where_an_input_is_required() -> None:
    paths = openapi_document(Signature((InputField("x", ValueType(Kind.INTEGER), required=True),), TEXT))["paths"]
    assert paths["/predictions"]["post"]["requestBody"]["required"] is True
    assert paths["/predictions/{prediction_id}"]["put"]["requestBody"]["required"] is True
    paths = openapi_document(Signature((), TEXT))["paths"]
    assert "required" not in paths["/predictions"]["post"]["requestBody"]


def test_whole_bounds_have_no_decimal_point() -> None:
    field = InputField("scale", ValueType(Kind.NUMBER), required=True, ge=0.0, le=20.5)
    schema = openapi_document(Signature((field,), TEXT))["components"]["schemas"]["Input"]["properties"]["scale"]
    assert json.dumps([schema["minimum"], schema["maximum"]]) == "[0, 20.5]"


def test_the_parent_needs_no_model_code_for_it() -> None:
    probe = "import sys, server.schema.openapi, server.schema.validation; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"cog", "server.cog", "server.schema.inspect", "torch", "pydantic", "numpy"} & set(modules)


def _is_valid(body: Any, name: str, signature: Signature) -> bool:
    document = openapi_document(signature)
    return bool(Draft4Validator({"$ref": f"#/components/schemas/{name}", **_with_null(document)}).is_valid(body))


def _with_null(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: what is `nullable` is null or what it is besides."""
    match schema:
        case {"nullable": True, **rest}:
            return {"anyOf": [_with_null(rest), {"enum": [None]}]}
        case dict():
            return {key: _with_null(value) for key, value in schema.items()}
        case list():
            return [_with_null(item) for item in schema]
    return schema


def _lacks(document: Any, expected: Any, place: str = "") -> Iterator[str]:
    """Where `document` says less than `expected`, or something else."""
    match document, expected:
        case dict(), dict():
            for key, value in expected.items():
                if key in document:
                    yield from _lacks(document[key], value, f"{place}/{key}")
                else:
                    yield f"{place}/{key} is missing"
        case list(), list() if len(document) >= len(expected):
            for index, value in enumerate(expected):
                yield from _lacks(document[index], value, f"{place}/{index}")
        case _ if document != expected:
            yield f"{place} is {document!r} instead of {expected!r}"


def _references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": reference}:
            yield reference
        case dict():
            for item in value.values():
                yield from _references(item)
        case list():
            for item in value:
                yield from _references(item)


def test_the_training_parts_are_those_that_cog_has() -> None:
    # As in `pkg/schema/openapi_spec.go` of Cog 0.23.1, for whose generator this repository has no goldens of trainings.
    document = openapi_document(MODELS["both"])
    schemas = document["components"]["schemas"]
    assert schemas["TrainingInput"] == {**schemas["Input"], "title": "TrainingInput"}
    assert schemas["TrainingOutput"] == {"title": "Output", "type": "string"}
    for name in ("TrainingRequest", "TrainingResponse"):
        assert schemas[name]["title"] == name
        assert schemas[name]["properties"]["input"] == {"$ref": "#/components/schemas/TrainingInput"}
    assert schemas["TrainingResponse"]["properties"]["output"] == {"$ref": "#/components/schemas/TrainingOutput"}
    create = document["paths"]["/trainings"]["post"]
    assert (create["summary"], create["description"]) == ("Train", "Run a single training on the model")
    assert create["operationId"] == "train_trainings_post"
    cancel = document["paths"]["/trainings/{training_id}/cancel"]["post"]
    assert cancel["operationId"] == "cancel_trainings__training_id__cancel_post"
    assert cancel["parameters"][0]["name"] == "training_id"
    id_ = {"title": "Training Id", "type": "string", "pattern": ID_PATTERN}
    assert cancel["parameters"][0]["schema"] == id_


def test_a_trainer_changes_nothing_about_predictions() -> None:
    alone, both = openapi_document(MODELS["predicts"]), openapi_document(MODELS["differ"])
    assert not list(_lacks(both, alone))
    for part in ("paths", "components"):
        told = both[part] if part == "paths" else both[part]["schemas"]
        added = told.keys() - (alone[part] if part == "paths" else alone[part]["schemas"]).keys()
        assert all("raining" in name for name in added)


def test_trainings_are_not_said_to_be_streamed() -> None:
    streaming = Signature((), TEXT, streaming=True)
    paths = openapi_document({Mode.PREDICT: streaming, Mode.TRAIN: streaming})["paths"]
    trainings = json.dumps([path for name, path in paths.items() if name.startswith("/trainings")])
    assert "event-stream" not in trainings
    assert "x-cog-streaming" not in trainings
    assert "predict" not in trainings.lower()


def test_each_of_two_inputs_of_one_name_has_its_own_choices() -> None:
    schemas = openapi_document(MODELS["differ"])["components"]["schemas"]
    assert schemas["size"]["enum"] == ["small", "large"]
    assert schemas["TrainingInput"]["properties"]["size"]["allOf"][0]["enum"] == ["long", "short"]
