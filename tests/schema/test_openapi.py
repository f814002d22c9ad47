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

from server.schema.inspect import inspect_predictor
from server.schema.openapi import openapi_document
from server.schema.signature import InputField, Kind, OutputType, Signature, ValueType
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


def test_every_reference_leads_somewhere() -> None:
    field = InputField("size", ValueType(Kind.STRING), required=True, choices=("small", "large"))
    document = openapi_document(Signature((field,), TEXT))
    references = set(_references(document))
    assert "#/components/schemas/size" in references
    for reference in references:
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


def test_every_operation_and_response_is_described() -> None:
    document = openapi_document(Signature((), TEXT))
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
