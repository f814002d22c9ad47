"""`data:` URLs (RFC 2397): a whole file inside a string."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

from server.service.media_types import media_type_of

_SCHEME = "data:"

# Much is done at a time, yet little enough that a thread at this work does not keep the event loop from running.
# A multiple of 3 and of 4, the bytes and characters of one group of base64.
_PIECE = 3 << 18

_BLANKS = b" \t\n\f\r"


def encode(path: Path) -> str:
    """The whole file as a `data:` URL in base64, its media type taken from its name.

    Raises:
        OSError: it cannot be read.
    """
    pieces = [f"data:{media_type_of(path.name)};base64,"]
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            pieces.append(binascii.b2a_base64(piece, newline=False).decode("ascii"))
    return "".join(pieces)


def media_type(url: str) -> str:
    """The media type that a `data:` URL names, without parameters; `text/plain` where it names none."""
    named = _header(url).split(";")[0].strip().lower()
    return named if "/" in named else "text/plain"


def decode(url: str) -> Iterator[bytes]:
    """The content of a `data:` URL, in pieces of at most 1 MiB.

    Blanks inside base64 are skipped, and a fragment is cut off, as browsers do.

    Raises:
        ValueError: there is no comma, or what follows is not what it should be; the message says what is wrong.
    """
    header = _header(url)
    start = len(_SCHEME) + len(header) + 1
    if start > len(url):
        raise ValueError("the data URL has no comma. Write data:<media type>;base64,<data>")
    fragment = url.find("#", start)
    end = len(url) if fragment < 0 else fragment
    _, *parameters = header.split(";")
    if parameters and parameters[-1].strip().lower() == "base64":
        if url.find("%", start, end) < 0:
            yield from _from_base64(url, start, end)
        else:
            data = unquote_to_bytes(url[start:end]).decode("latin-1")
            yield from _from_base64(data, 0, len(data))
    else:
        plain = unquote_to_bytes(url[start:end])
        for place in range(0, len(plain), _PIECE):
            yield plain[place : place + _PIECE]


def _header(url: str) -> str:
    comma = url.find(",")
    return url[len(_SCHEME) : comma if comma >= 0 else len(url)]


def _from_base64(data: str, start: int, end: int) -> Iterator[bytes]:
    rest = b""
    padded = False
    for place in range(start, end, _PIECE):
        try:
            rest += data[place : min(place + _PIECE, end)].encode("ascii").translate(None, _BLANKS)
            groups = rest[: len(rest) // 4 * 4]
            if padded and rest:
                raise ValueError("Excess data after padding")
            yield binascii.a2b_base64(groups, strict_mode=True)
        except ValueError as error:
            raise ValueError(f"the data URL is not valid base64: {_reason(error)}") from error
        rest = rest[len(groups) :]
        padded = padded or groups.endswith(b"=")
    if rest:
        raise ValueError("the data URL is not valid base64: Incorrect padding")


def _reason(error: ValueError) -> str:
    return "Only base64 data is allowed" if isinstance(error, UnicodeError) else str(error)
