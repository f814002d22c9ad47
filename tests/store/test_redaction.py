from __future__ import annotations

import json
from typing import Any

import pytest

from server.schema.signature import InputField, Kind, ModelField, OutputType, Signature, ValueType
from server.store.redaction import redacted

SECRET = ValueType(Kind.SECRET)
STRING = ValueType(Kind.STRING)
INTEGER = ValueType(Kind.INTEGER)


def signature(type_: ValueType) -> Signature:
    fields = (InputField("token", type_, required=True), InputField("prompt", STRING, required=True))
    return Signature(fields, OutputType(STRING))


@pytest.mark.parametrize(
    ("type_", "given", "kept"),
    [
        (SECRET, "s3cret", "**********"),
        (ValueType(Kind.SECRET, nullable=True), None, None),
        (ValueType(Kind.LIST, (SECRET,)), ["s3cret", "t0o"], ["**********", "**********"]),
        (ValueType(Kind.MAPPING, (SECRET,)), {"a": "s3cret"}, {"a": "**********"}),
        (ValueType(Kind.UNION, (INTEGER, SECRET)), "s3cret", "**********"),
        (ValueType(Kind.UNION, (INTEGER, SECRET)), 1, 1),
        (ValueType(Kind.UNION, (STRING, SECRET)), "s3cret", "**********"),
        (ValueType(Kind.UNION, (STRING, ValueType(Kind.LIST, (SECRET,)))), ["s3cret"], ["**********"]),
        (
            ValueType(Kind.MODEL, fields=(ModelField("a", SECRET, True), ModelField("b", STRING, True))),
            {"a": "s3cret", "b": "c", "d": 1},
            {"a": "**********", "b": "c", "d": 1},
        ),
        (ValueType(Kind.LIST, (ValueType(Kind.LIST, (SECRET,)),)), [["s3cret"], []], [["**********"], []]),
        (STRING, "plain", "plain"),
        (ValueType(Kind.ANY), {"a": [1]}, {"a": [1]}),
    ],
)
def test_secrets_are_hidden_wherever_they_are(type_: ValueType, given: Any, kept: Any) -> None:
    input = {"token": given, "prompt": "a cat"}
    assert redacted(input, signature(type_)) == {"token": kept, "prompt": "a cat"}
    assert input == {"token": given, "prompt": "a cat"}


@pytest.mark.parametrize(
    ("type_", "given", "kept"),
    [
        (INTEGER, 3.0, "3"),
        (INTEGER, 1e20, "100000000000000000000"),
        (ValueType(Kind.LIST, (ValueType(Kind.LIST, (INTEGER,)),)), [[-1e20, 2]], "[[-100000000000000000000,2]]"),
        (ValueType(Kind.UNION, (STRING, INTEGER)), 3.0, "3"),
        (ValueType(Kind.NUMBER), 3.0, "3.0"),
        (ValueType(Kind.ANY), {"a": 3.0}, '{"a":3.0}'),
    ],
)
def test_integers_are_told_as_such(type_: ValueType, given: Any, kept: str) -> None:
    input = redacted({"token": given, "prompt": "a cat"}, signature(type_))
    assert json.dumps(input["token"], separators=(",", ":")) == kept


def test_an_input_that_is_left_out_stays_out() -> None:
    assert redacted({"prompt": "a"}, signature(SECRET)) == {"prompt": "a"}
