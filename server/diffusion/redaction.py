"""The inputs of a request as a picture may tell them: no file, no data URL and no secret is in them.

In the place of a file is `{"$sha256": ...}`, and of what is secret `{"$withheld": ...}`, with what may be told of it.
Who makes the picture again has to bring both.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit, urlunsplit

from server.diffusion.digests import file_digest

DIGEST = "$sha256"
"""The key that stands for a file: the SHA-256 of its contents, in hexadecimal digits."""

WITHHELD = "$withheld"
"""The key that stands for a secret: its value is what is left of it, or `None`."""

# Whatever else is in the query of a URL may be a token or a signature.
_HARMLESS = {"download", "format", "fp", "revision", "size", "type"}


def record_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of `predict` as JSON. It reads the files among them, so call it in a thread.

    Args:
        inputs: the values by name, `self` left out: JSON, paths of files, secrets, lists and dictionaries of these.

    Raises:
        TypeError: a value is of another type.
        OSError: a file cannot be read.
    """
    return {name: _record(value) for name, value in inputs.items()}


def without_secrets(text: str) -> str:
    """A URL without what may be secret in it; any other text as it is, but for data URLs, which keep their type."""
    if text.startswith("data:"):
        return text.partition(",")[0].partition(";")[0]
    if not text.startswith(("http://", "https://")):
        return text
    try:
        parts = urlsplit(text)
        names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    except ValueError:
        return text.partition("://")[0] + "://"
    query = parts.query if names <= _HARMLESS else ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def _record(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return _record_text(value)
        case os.PathLike():
            return {DIGEST: file_digest(value)}
        case list() | tuple():
            return [_record(item) for item in value]
        case Mapping():
            return {str(name): _record(item) for name, item in value.items()}
        case _ if hasattr(value, "get_secret_value"):
            return {WITHHELD: None}
        case _:
            raise TypeError(f"{value!r} is of the type {type(value).__name__}, which a picture cannot tell")


def _record_text(text: str) -> Any:
    if text.startswith("data:"):
        return {DIGEST: hashlib.sha256(_data(text)).hexdigest()}
    shown = without_secrets(text)
    return text if shown == text else {WITHHELD: shown}


def _data(url: str) -> bytes:
    header, _, content = url.partition(",")
    data = unquote_to_bytes(content.encode(errors="replace"))
    if not header.endswith(";base64"):
        return data
    try:
        return base64.b64decode(data)
    except ValueError:
        return data
