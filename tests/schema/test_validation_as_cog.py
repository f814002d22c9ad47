"""The same inputs to the real Cog and to this server's validation: the same answers, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from server.api.body import decode_body
from server.errors import InvalidRequest, MalformedBody
from server.schema.inspect import inspect_predictor
from server.schema.openapi import openapi_document
from server.schema.signature import Signature
from server.schema.validation import InputValidator
from tests.compat.real_cog import ask_cog, running_cog
from tests.conftest import PREDICTORS
from tests.schema.conftest import loading

PREDICTOR = PREDICTORS / "take_everything.py"

# Each is what stands in `input` beside the two required inputs.
VALUES = r"""
    "steps": 5
    "steps": 0
    "steps": 99
    "steps": "3"
    "steps": 3.0
    "steps": 3.5
    "steps": 10.5
    "steps": null
    "steps": true
    "steps": []
    "steps": {}
    "steps": -0.0
    "steps": 1e-7
    "steps": 1.5e-6
    "steps": 0.00001
    "steps": 0.000015
    "steps": 0.0001
    "steps": 1e16
    "steps": 1e21
    "steps": 1e300
    "steps": 1e400
    "steps": 123456789.123456789
    "steps": 12345678901234568.0
    "steps": 9007199254740993
    "steps": 18446744073709551615
    "steps": 18446744073709551616
    "steps": -9223372036854775808
    "steps": -9223372036854775809
    "steps": 123456789012345678901234567890
    "steps": "é\u00e9\"\\\n\u0001\u007f\u2028/\b\f\t"
    "steps": "\ud83d\ude00"
    "steps": "\ud800"
    "steps": {"b": 1, "a": [1.0, 2, {}], "é": null, "B": true}
    "scale": 0.1
    "scale": 0.5
    "scale": 2.5
    "scale": 3
    "scale": 1
    "scale": "1.5"
    "scale": true
    "scale": null
    "scale": 100000000000000000000
    "flag": true
    "flag": 0
    "flag": "true"
    "flag": null
    "text": "ab"
    "text": "a"
    "text": ""
    "text": "abcde"
    "text": "A1"
    "text": "A"
    "text": "ABCDEF"
    "text": "abc\n"
    "text": "éé"
    "text": "\ud83d\ude00\ud83d\ude00"
    "text": "e\u0301e\u0301e"
    "text": 5
    "text": null
    "letter": ""
    "letter": "ab"
    "digits": "1 a"
    "digits": "12 $"
    "digits": "1 ."
    "digits": "\u0661 a"
    "digits": "1\u00a0a"
    "digits": "1 é"
    "digits": "1 a\n"
    "size": "small"
    "size": "großé"
    "size": "large"
    "size": 5
    "size": null
    "size": ["small"]
    "width": 128
    "width": 128.0
    "width": 5
    "width": "128"
    "width": 128.5
    "width": true
    "zoom": 1.0
    "zoom": 2
    "zoom": "1"
    "numbers": []
    "numbers": [1, 2.0]
    "numbers": [1, "x", 2.5, 3.0, null, true]
    "numbers": [[1]]
    "numbers": 5
    "numbers": "1,2"
    "numbers": {"0": 1}
    "numbers": null
    "words": ["a", 1, null, "b"]
    "grid": [[1, 2], [3]]
    "grid": [[1, "x"], 5, [true]]
    "tags": "a"
    "tags": ["a"]
    "tags": ["c"]
    "either": 1
    "either": "a"
    "either": 2.0
    "either": 1.5
    "either": null
    "either": []
    "either": true
    "one_or_many": [1, 2]
    "one_or_many": ["a"]
    "one_or_many": 1.5
    "maybe": null
    "maybe": "a"
    "anything": {"a": 1}
    "anything": 1
    "anything": null
    "options": {}
    "options": []
    "image": "no URL"
    "image": 1
    "image": null
    "images": [1]
    "images": null
    "file": {}
    "token": null
    "unknown": 5
    "size": "z", "steps": 99, "text": "A", "flag": 1, "numbers": ["a", "b"], "image": 5, "zoom": {}
    "steps": 5, "steps": 99
"""

# The rest are whole bodies.
BODIES = r"""
    {}
    {"input": {}}
    {"input": null}
    {"input": []}
    {"input": [1, "a"]}
    {"input": 5}
    {"input": -1.5}
    {"input": "text"}
    {"input": true}
    {"input": {"steps": 99}}
    {"input": {"required": "a"}}
    {"input": {"z_required": 1}}
    {"input": {"z_required": null, "required": null}}
    {"input": {"x": 1}}
"""

CASES = [
    *(f'{{"input": {{"z_required": "a", "required": 1, {value.strip()}}}}}' for value in VALUES.strip().splitlines()),
    *(body.strip() for body in BODIES.strip().splitlines()),
    json.dumps({"input": {"z_required": "a", "required": 1, "steps": "long " * 10_000}}),
]


@pytest.fixture(scope="module")
def signature() -> Signature:
    with loading() as load:
        return inspect_predictor(load(PREDICTOR))


@pytest.fixture(scope="module")
def cog(signature: Signature, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running_cog(PREDICTOR.stem, openapi_document(signature), tmp_path_factory.mktemp("cog")) as client:
        yield client


@pytest.mark.parametrize("body", CASES, ids=lambda body: body[:60].removeprefix('{"input": {"z_required": "a", "req'))
def test_the_answer_is_cogs(body: str, cog: httpx.Client, signature: Signature) -> None:
    response = ask_cog(cog, "POST", "/predictions", content=body, headers={"Content-Type": "application/json"})
    expected = response.json()["detail"] if response.status_code == 422 else response.status_code
    assert _validate(body, signature) == expected


@pytest.mark.parametrize("depth", [1, 124, 125, 200])
def test_the_deepest_that_passes_is_cogs(depth: int, cog: httpx.Client, signature: Signature) -> None:
    nested = "[" * depth + "]" * depth
    body = f'{{"input": {{"z_required": "a", "required": 1, "anything": {{"a": {nested}}}}}}}'
    response = ask_cog(cog, "POST", "/predictions", content=body, headers={"Content-Type": "application/json"})
    assert _validate(body, signature) == response.status_code


def _validate(body: str, signature: Signature) -> Any:
    """The `detail` of a 422, or the status code."""
    try:
        InputValidator(signature).validate(decode_body(bytearray(body.encode())).input)
    except InvalidRequest as invalid:
        return [{"loc": list(v.loc), "msg": v.msg, "type": v.type} for v in invalid.violations]
    except MalformedBody:
        return 400
    return 200
