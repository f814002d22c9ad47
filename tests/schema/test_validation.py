"""What only this server promises about validation; what Cog does too is in `test_validation_as_cog.py`."""

from __future__ import annotations

import pytest

from server.errors import InvalidRequest, Violation
from server.schema.signature import InputField, Kind, OutputType, RemovedInput, Signature, ValueType
from server.schema.validation import MAX_DEPTH, MAX_VIOLATIONS, InputValidator, compile_pattern


def _validator(**fields: InputField) -> InputValidator:
    return InputValidator(Signature(tuple(fields.values()), OutputType(ValueType(Kind.STRING))))


def _validator_without(field: InputField, reason: str | None = None) -> InputValidator:
    signature = Signature((), OutputType(ValueType(Kind.STRING)), removed=(RemovedInput(field, reason),))
    return InputValidator(signature)


def _field(name: str, kind: Kind, *items: Kind, regex: str | None = None, required: bool = True) -> InputField:
    type_ = ValueType(kind, tuple(ValueType(item) for item in items))
    return InputField(name, type_, required=required, regex=regex)


def test_values_are_handed_on_unchanged_and_unknown_ones_named() -> None:
    given = {"b": 1, "steps": 3.0, "a": None, "options": {"deep": [1, {"x": "é"}]}}
    validator = _validator(steps=_field("steps", Kind.INTEGER), options=_field("options", Kind.ANY))
    valid = validator.validate(given)
    assert valid.values == {"steps": 3.0, "options": {"deep": [1, {"x": "é"}]}}
    assert isinstance(valid.values["steps"], float)
    assert valid.unknown == ("b", "a")


@pytest.mark.parametrize(
    ("kind", "default", "value", "is_taken"),
    [
        (Kind.STRING, "none", "none", True),
        (Kind.STRING, "none", None, True),
        (Kind.STRING, "none", "", False),
        (Kind.INTEGER, 0, 0, True),
        (Kind.INTEGER, 0, 0.0, True),
        (Kind.INTEGER, 0, False, False),
        (Kind.BOOLEAN, False, False, True),
        (Kind.BOOLEAN, False, 0, False),
        (Kind.ANY, {"a": [1]}, {"a": [1.0]}, True),
        (Kind.ANY, {"a": [1]}, {"a": [True]}, False),
    ],
)
def test_of_what_the_model_cannot_take_only_the_default_passes(
    kind: Kind, default: object, value: object, is_taken: bool
) -> None:
    field = InputField("x", ValueType(kind), required=False, has_default=True, default=default)
    validator = _validator_without(field, "it is a turbo model")
    if is_taken:
        valid = validator.validate({"x": value})
        assert (valid.values, valid.unknown) == ({}, ())
    else:
        with pytest.raises(InvalidRequest) as caught:
            validator.validate({"x": value})
        assert caught.value.violations == [
            Violation(("body", "input", "x"), "the loaded model cannot take it: it is a turbo model. Leave it out.")
        ]


def test_of_what_the_model_cannot_take_and_has_no_default_only_null_passes() -> None:
    validator = _validator_without(InputField("x", ValueType(Kind.PATH, nullable=True), required=False))
    assert validator.validate({"x": None}).values == {}
    with pytest.raises(InvalidRequest) as caught:
        validator.validate({"x": "https://example.com/a.png"})
    assert caught.value.violations[0].msg == "the loaded model cannot take it. Leave it out."


def test_no_input_is_an_empty_one() -> None:
    assert _validator().validate(None).values == {}


def test_no_more_violations_than_anybody_reads() -> None:
    validator = _validator(words=_field("words", Kind.LIST, Kind.STRING))
    with pytest.raises(InvalidRequest) as caught:
        validator.validate({"words": [1] * 1_000_000})
    assert len(caught.value.violations) == MAX_VIOLATIONS + 1
    assert caught.value.violations[-1] == Violation(
        ("body", "input", "__root__"), f"there is more; only the first {MAX_VIOLATIONS} are listed"
    )


def test_a_long_list_of_a_union_is_refused_once() -> None:
    validator = _validator(sizes=_field("sizes", Kind.UNION, Kind.INTEGER, Kind.STRING))
    with pytest.raises(InvalidRequest) as caught:
        validator.validate({"sizes": ["x"] * 100_000})
    assert len(caught.value.violations) == 1


@pytest.mark.parametrize("kind", [Kind.ANY, Kind.INTEGER])
def test_what_nests_too_deep_is_refused(kind: Kind) -> None:
    validator = _validator(options=_field("options", kind))
    nested: object = {}
    for _ in range(100_000):
        nested = [nested]
    for input in ({"options": nested}, nested):
        with pytest.raises(InvalidRequest, match=f"has more than {MAX_DEPTH} levels"):
            validator.validate(input)


def test_the_deepest_that_passes() -> None:
    validator = _validator(options=_field("options", Kind.ANY))
    nested: object = 1
    for _ in range(MAX_DEPTH - 2):
        nested = [nested]
    assert validator.validate({"options": {"a": nested}}).values
    with pytest.raises(InvalidRequest):
        validator.validate({"options": {"a": [nested]}})


def test_secrets_are_not_repeated() -> None:
    validator = _validator(token=_field("token", Kind.SECRET, regex="^sk-"))
    with pytest.raises(InvalidRequest) as caught:
        validator.validate({"token": "hunter2"})
    assert caught.value.violations[0].msg == '********** does not match "^sk-"'


def test_half_a_surrogate_pair_can_be_answered() -> None:
    with pytest.raises(InvalidRequest) as caught:
        _validator(steps=_field("steps", Kind.INTEGER)).validate({"steps": "\ud800"})
    assert caught.value.violations[0].msg.encode() == b'"?" is not of type "integer"'


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 10**400])
def test_numbers_that_json_does_not_have_end_nothing(number: float) -> None:
    with pytest.raises(InvalidRequest):
        _validator(flag=_field("flag", Kind.BOOLEAN)).validate({"flag": number})


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (r"^a$", "a", "a\n"),
        (r"^\d$", "1", "\u0661"),
        (r"^\w$", "a", "é"),
        (r"^\D$", "\u0661", "1"),
        (r"^\W$", "é", "a"),
        (r"^[\d.]$", ".", "\u0661"),
        (r"^[$]$", "$", "a"),
        (r"^[]$a]$", "]", "b"),
        (r"^[^\]$]$", "a", "$"),
        (r"^\$$", "$", "a"),
        (r"^\\d$", "\\d", "1"),
        (r"^.\s$", "a\u00a0", "a"),
    ],
)
def test_patterns_are_those_of_json_schema(pattern: str, matching: str, other: str) -> None:
    assert compile_pattern(pattern).search(matching)
    assert not compile_pattern(pattern).search(other)
