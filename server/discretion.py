"""What clients send, as the operator may read it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_LONGEST_TEXT = 1000
"""In characters."""

_LONGEST_READ = 4 * _LONGEST_TEXT
_LONGEST_SEARCHED = 1 << 20

_MOST_ITEMS = 20

_SHORTEST_WORD = 4
_WORD = re.compile(rf"\w{{{_SHORTEST_WORD},}}")

# Its path may be a secret too: those of webhooks often are.
_URL = re.compile(r"\b([a-z][a-z\d+.-]{0,20}://)(?:[^\s/?#\"']*@)?([^\s/?#\"']*)[^\s\"'<>]*", re.IGNORECASE)
_DATA = re.compile(r"\bdata:([\w.+-]+/[\w.+-]+)?[^\s,]*,[^\s\"']*", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """The text: of each URL in it only the host, of each data URL the media type; the end of a long one is cut off."""
    short = _DATA.sub(r"data:\1,...", _URL.sub(r"\1\2/...", text[:_LONGEST_READ]))
    is_whole = len(text) <= _LONGEST_READ and len(short) <= _LONGEST_TEXT
    return short if is_whole else f"{short[:_LONGEST_TEXT]}... ({len(text)} characters)"


class Redactor:
    """Puts `...` for whatever a text has in common with the texts of an input: for each of them, and for every word of
    four characters or more that is in one of them.

    Args:
        input: values by name.
    """

    def __init__(self, input: Mapping[str, Any]) -> None:
        self._texts = [text for text in _texts(list(input.values())) if len(text) >= _SHORTEST_WORD]
        # Data URLs, which are longer than any prompt, must not keep the event loop busy.
        self._words = "\n".join(sorted(self._texts, key=len))[:_LONGEST_SEARCHED].lower()

    def redact(self, text: str) -> str:
        """The text without them."""
        for whole in self._texts:
            if len(whole) <= len(text):
                text = text.replace(whole, "...")
        return _WORD.sub(lambda word: "..." if word[0].lower() in self._words else word[0], text)


def shown(value: Any) -> Any:
    """JSON with its texts as by `without_secrets`, and of long lists and objects the first members."""
    match value:
        case str():
            return without_secrets(value)
        case list():
            more = [f"... ({len(value)} items)"] if len(value) > _MOST_ITEMS else []
            return [shown(item) for item in value[:_MOST_ITEMS]] + more
        case dict():
            first = {without_secrets(name): shown(item) for name, item in list(value.items())[:_MOST_ITEMS]}
            return first if len(value) <= _MOST_ITEMS else first | {"...": f"({len(value)} members)"}
        case _:
            return value


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for name, item in value.items():
                yield name
                yield from _texts(item)
