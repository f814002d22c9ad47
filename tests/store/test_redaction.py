from __future__ import annotations

import json
from typing import Any

import pytest

from server.schema.signature import InputField, Kind, OutputType, Signature, ValueType
from server.store.redaction import redacted

SECRET = ValueType(Kind.SECRET)
STRING = ValueType(Kind.STRING)
INTEGER = ValueType(Kind.INTEGER)


def signature(type_: ValueType) -> Signature:
    fields = (InputField("token", type_, required=True), InputField("prompt", STRING, required=True))
    return Signature(fields, OutputType(STRING))


@pytest.mark.parametrize(
    ("type_", "given"),
    [
        (SECRET, "s3cret"),
        (SECRET, ""),
        (ValueType(Kind.LIST, (SECRET,)), ["s3cret", "t0o"]),
        (ValueType(Kind.LIST, (ValueType(Kind.LIST, (SECRET,)),)), [[], ["s3cret"]]),
        (ValueType(Kind.UNION, (INTEGER, SECRET)), "s3cret"),
        (ValueType(Kind.UNION, (STRING, SECRET)), "s3cret"),
        (ValueType(Kind.UNION, (STRING, ValueType(Kind.LIST, (SECRET,)))), ["s3cret"]),
    ],
)
def test_an_input_with_a_secret_is_left_out(type_: ValueType, given: Any) -> None:
    input = {"token": given, "prompt": "a cat"}
    assert redacted(input, signature(type_)) == {"prompt": "a cat"}
    assert input == {"token": given, "prompt": "a cat"}


@pytest.mark.parametrize(
    ("type_", "given"),
    [
        (STRING, "plain"),
        (ValueType(Kind.ANY), {"a": [1]}),
        (ValueType(Kind.UNION, (INTEGER, SECRET)), 1),
        (ValueType(Kind.LIST, (SECRET,)), []),
    ],
)
def test_everything_else_stays(type_: ValueType, given: Any) -> None:
    assert redacted({"token": given, "prompt": "a"}, signature(type_)) == {"token": given, "prompt": "a"}


@pytest.mark.parametrize(
    ("type_", "given", "kept"),
    [
        (INTEGER, 3.0, "3"),
        (INTEGER, 1e20, "100000000000000000000"),
        (ValueType(Kind.LIST, (ValueType(Kind.LIST, (INTEGER,)),)), [[-1e20, 2]], "[[-100000000000000000000,2]]"),
        (ValueType(Kind.UNION, (STRING, INTEGER)), 3.0, "3"),
        (ValueType(Kind.UNION, (INTEGER, ValueType(Kind.NUMBER))), 3.5, "3.5"),
        (ValueType(Kind.NUMBER), 3.0, "3.0"),
        (ValueType(Kind.ANY), {"a": 3.0}, '{"a":3.0}'),
    ],
)
def test_integers_are_told_as_such(type_: ValueType, given: Any, kept: str) -> None:
    input = redacted({"token": given, "prompt": "a cat"}, signature(type_))
    assert json.dumps(input["token"], separators=(",", ":")) == kept


def test_an_input_that_is_left_out_stays_out() -> None:
    assert redacted({"prompt": "a"}, signature(SECRET)) == {"prompt": "a"}
