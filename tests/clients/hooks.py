"""What schemathesis must not send, for SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import json
import re
from typing import Any

import schemathesis
from schemathesis import Case, HookContext

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\\]+")


@schemathesis.hook
def filter_case(context: HookContext, case: Case[Any]) -> bool:
    """Let no text pass for a file that is no URI.

    Like Cog's, the schema calls files `"format": "uri"`; and like Cog the server takes any text for one, which the
    model gets as it is.
    """
    schemas = case.operation.schema.raw_schema["components"]["schemas"]
    name = "TrainingInput" if case.operation.path.startswith("/trainings") else "Input"
    inputs = schemas.get(name, {}).get("properties", {})
    given = case.body.get("input") if isinstance(case.body, dict) else None
    if not isinstance(given, dict):
        return True
    files = [value for name, value in given.items() if '"format": "uri"' in json.dumps(inputs.get(name))]
    return all(_URI.fullmatch(text) for text in _texts(files))


def _texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [text for item in value for text in _texts(item)]
    return []
