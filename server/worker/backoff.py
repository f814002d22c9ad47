"""How long to wait before a child that died is replaced."""

from __future__ import annotations

LONGEST = 60.0
"""The longest wait, in seconds."""


class Backoff:
    """No wait before the first replacement, then 1 s, 2 s, 4 s and so on up to `LONGEST`."""

    def __init__(self) -> None:
        self._tries = 0

    def next(self) -> float:
        """Seconds to wait before the next replacement."""
        delay = min(LONGEST, 2.0 ** (self._tries - 1)) if self._tries else 0.0
        self._tries += 1
        return delay

    def reset(self) -> None:
        """Begin anew: the last one has proved to work."""
        self._tries = 0
