"""Text that a model writes, in bounded memory."""

from __future__ import annotations

from collections import deque

MOST_CHARACTERS = 4 << 20
"""What is kept of one prediction's logs."""


class Transcript:
    """Grows by appending; past the limit the oldest text gives way to a line that tells how much is gone.

    Args:
        most: how many characters are kept at the least, once there are so many; at the most, about twice that.
    """

    def __init__(self, most: int = MOST_CHARACTERS) -> None:
        self._most = most
        self._texts: deque[str] = deque()
        self._kept = 0
        self._dropped = 0

    def append(self, text: str) -> None:
        """Add text at the end."""
        self._texts.append(text)
        self._kept += len(text)
        while self._kept - len(self._texts[0]) >= self._most:
            gone = len(self._texts.popleft())
            self._kept -= gone
            self._dropped += gone

    def __str__(self) -> str:
        # One text from now on, so that who asks again and again does not join the same pieces each time.
        whole = "".join(self._texts)
        self._texts = deque([whole] if whole else [])
        return f"[the first {self._dropped} characters were dropped]\n{whole}" if self._dropped else whole
