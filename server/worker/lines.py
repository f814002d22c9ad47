"""Bytes that somebody writes, as text in whole lines."""

from __future__ import annotations

import codecs

MAX_LINE_BYTES = 65536
"""What a line may grow to before it is passed on unfinished, in bytes, so that endless lines take no memory."""

_Decoder = codecs.getincrementaldecoder("utf-8")


class Lines:
    """Collects what is written until a line ends, by `\\n` or, as progress bars do it, by `\\r`.

    Bytes that are not UTF-8 become U+FFFD.
    """

    def __init__(self) -> None:
        self._decoder = _Decoder("replace")
        self._unfinished: list[str] = []
        self._length = 0

    def feed(self, data: bytes) -> str:
        """The lines that `data` finishes, with their ends; an empty string if it finishes none."""
        text = self._decoder.decode(data)
        end = max(text.rfind("\n"), text.rfind("\r")) + 1
        if not end and self._length + len(text) > MAX_LINE_BYTES:
            end = len(text)
        if not end:
            self._keep(text)
            return ""
        lines = "".join([*self._unfinished, text[:end]])
        self._unfinished.clear()
        self._length = 0
        self._keep(text[end:])
        return lines

    def rest(self) -> str:
        """The line that was begun and not finished; the next one begins anew."""
        rest = "".join([*self._unfinished, self._decoder.decode(b"", final=True)])
        self._unfinished.clear()
        self._length = 0
        return rest

    def _keep(self, text: str) -> None:
        if text:
            self._unfinished.append(text)
            self._length += len(text)
