"""Checks the input of a request against the `Input` schema that the OpenAPI document publishes, and nothing else.

The messages are those of Cog's runtime.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from server.errors import InvalidRequest, Violation
from server.schema.openapi import component_schemas
from server.schema.signature import InputField, Signature

MAX_DEPTH = 126
"""How many arrays and objects may sit inside each other, `input` itself included; as in Cog's parser."""

_TOO_DEEP = f"it is nested so deep that `input` has more than {MAX_DEPTH} levels"

MAX_VIOLATIONS = 100
"""How many violations one answer lists."""


@dataclass(frozen=True)
class ValidInput:
    """An input that fits the schema.

    Attributes:
        values: what the request gave for the inputs that the model has, unchanged.
        unknown: the names of inputs that the source does not have either, which were dropped.
    """

    values: dict[str, Any]
    unknown: tuple[str, ...]


class InputValidator:
    """Checks inputs for one model."""

    def __init__(self, signature: Signature) -> None:
        schemas = component_schemas(signature)
        self._required = tuple(schemas["Input"].get("required", ()))
        self._fields = {
            name: _Validator({**_sorted(schema), "components": {"schemas": _sorted(schemas)}})
            for name, schema in sorted(schemas["Input"]["properties"].items())
        }
        self._removed = {one.field.name: one for one in signature.removed}

    def validate(self, input: Any) -> ValidInput:
        """What of `input` the model takes.

        Args:
            input: any JSON value; `None` counts as the empty object.

        Raises:
            InvalidRequest: it breaks the schema; lists up to `MAX_VIOLATIONS` violations: fields in alphabetical order,
                then those that the loaded model cannot take, then the missing ones in the order of the signature.
        """
        given = {} if input is None else input
        if not isinstance(given, dict):
            msg = _TOO_DEEP if _is_deeper(given, MAX_DEPTH) else f'{_printed(given)} is not of type "object"'
            raise InvalidRequest([_violation("__root__", msg)])
        violations = list(islice(self._violations(given), MAX_VIOLATIONS + 1))
        if len(violations) > MAX_VIOLATIONS:
            violations[-1] = _violation("__root__", f"there is more; only the first {MAX_VIOLATIONS} are listed")
        if violations:
            raise InvalidRequest(violations)
        return ValidInput(
            values={name: value for name, value in given.items() if name in self._fields},
            unknown=tuple(name for name in given if name not in self._fields and name not in self._removed),
        )

    def _violations(self, given: dict[str, Any]) -> Iterator[Violation]:
        for name, validator in self._fields.items():
            if name in given:
                if _is_deeper(given[name], MAX_DEPTH - 1):
                    yield _violation(name, _TOO_DEEP)
                    continue
                for error in validator.iter_errors(given[name]):
                    yield _violation("/".join(map(str, (name, *error.absolute_path))), _message(error))
        for name, removed in sorted(self._removed.items()):
            # Clients that were generated from the source send every input, with its default.
            if name in given and not _is_unset(given[name], removed.field):
                reason = "" if removed.reason is None else f": {removed.reason}"
                yield _violation(name, f"the loaded model cannot take it{reason}. Leave it out.")
        for name in self._required:
            if name not in given:
                yield _violation(name, "Field required", "value_error.missing")


@functools.lru_cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern in the dialect of JSON Schema, ECMA-262, for Python's `re`.

    The dialects differ where it matters for checks: in ECMA-262 `$` does not match before a final newline, and `\\d`
    and `\\w` are ASCII only.

    Raises:
        re.error: it is not a valid pattern.
    """
    return re.compile(_ECMA_DIFFERENCES.sub(_to_python, pattern))


# An escape, a whole character class (whose `$` is literal), or the end of the text.
_ECMA_DIFFERENCES = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)
_ECMA_CLASSES = {r"\d": "0-9", r"\w": "A-Za-z0-9_"}
_ECMA_COMPLEMENTS = {r"\D": "[^0-9]", r"\W": "[^A-Za-z0-9_]"}


def _to_python(match: re.Match[str]) -> str:
    part = match.group()
    if part == "$":
        return r"\Z"
    if part.startswith("["):
        return re.sub(r"\\.", lambda escape: _ECMA_CLASSES.get(escape.group(), escape.group()), part, flags=re.DOTALL)
    if part in _ECMA_CLASSES:
        return f"[{_ECMA_CLASSES[part]}]"
    return _ECMA_COMPLEMENTS.get(part, part)


def _pattern(_: Validator, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not compile_pattern(pattern).search(instance):
        yield ValidationError("")


def _items(validator: Validator, items: Any, instance: Any, schema: Any) -> Iterable[ValidationError]:
    # A list of a million numbers is checked in milliseconds this way, in seconds item by item.
    plain = _PLAIN_TYPES.get(items.get("type")) if items.keys() <= {"type", "format"} else None
    if plain and isinstance(instance, list) and set(map(type, instance)) <= plain:
        return ()
    found: Iterable[ValidationError] = Draft202012Validator.VALIDATORS["items"](validator, items, instance, schema)
    return found


_PLAIN_TYPES: dict[str, set[type]] = {
    "string": {str},
    "integer": {int},
    "number": {int, float},
    "boolean": {bool},
    "object": {dict},
}


def _any_of(validator: Validator, schemas: list[Any], instance: Any, _: Any) -> Iterator[ValidationError]:
    # The library's own keeps every error of every member, which may be millions.
    if not any(validator.evolve(schema=schema).is_valid(instance) for schema in schemas):
        yield ValidationError("")


_Validator = extend(Draft202012Validator, {"pattern": _pattern, "items": _items, "anyOf": _any_of})  # type: ignore[no-untyped-call]


def _violation(field: str, msg: str, type: str = "value_error") -> Violation:
    return Violation(("body", "input", field), msg, type)


def _is_unset(value: Any, field: InputField) -> bool:
    """Whether a value says no more than leaving the input out does."""
    return value is None or (field.has_default and Draft202012Validator({"const": field.default}).is_valid(value))


def _message(error: ValidationError) -> str:
    is_secret = isinstance(error.schema, dict) and error.schema.get("format") == "password"
    value = "**********" if is_secret and isinstance(error.instance, str) else _printed(error.instance)
    rule: Any = error.validator_value
    match error.validator:
        case "type":
            return f'{value} is not of type "{rule}"'
        case "enum":
            return f"{value} is not one of [{','.join(map(_printed, rule))}]"
        case "minimum":
            return f"{value} is less than the minimum of {_printed(rule)}"
        case "maximum":
            return f"{value} is greater than the maximum of {_printed(rule)}"
        case "minLength":
            return f"{value} is shorter than {rule} character{'' if rule == 1 else 's'}"
        case "maxLength":
            return f"{value} is longer than {rule} character{'' if rule == 1 else 's'}"
        case "pattern":
            return f'{value} does not match "{rule}"'
        case "anyOf":
            return f"{value} is not valid under any of the schemas listed in the 'anyOf' keyword"
    return error.message


def _printed(value: Any) -> str:
    """`value` as JSON, with numbers written as Cog's runtime writes them."""
    if isinstance(value, float) and "e-0" in (text := repr(value)):
        return format(Decimal(text), "f") if text.endswith("e-05") else text.replace("e-0", "e-")
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    # Half of a surrogate pair is no text that could be sent back.
    return text.encode(errors="replace").decode()


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    while level and depth:
        depth -= 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _sorted(schema: Any) -> Any:
    """`schema` with its keywords in alphabetical order, the order in which Cog's runtime reports violations."""
    match schema:
        case dict():
            return {key: _sorted(value) for key, value in sorted(schema.items())}
        case list():
            return [_sorted(item) for item in schema]
    return schema
