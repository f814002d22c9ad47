"""The `Accept` header."""

from __future__ import annotations


def quality(accept: str, media_type: str, *, named: bool = False) -> float:
    """How much the client wants `media_type`, from 0 (not at all) to 1; the most specific range decides.

    Args:
        accept: the header's value.
        media_type: in lower case.
        named: whether the range has to name it, so that `*/*` says nothing.
    """
    kind = media_type.partition("/")[0]
    ranges = [media_type] if named else ["*/*", f"{kind}/*", media_type]
    best = (-1, 0.0)
    for item in accept.lower().split(","):
        name, *parameters = [part.strip() for part in item.split(";")]
        if name in ranges:
            best = max(best, (ranges.index(name), _weight(parameters)))
    return best[1]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
