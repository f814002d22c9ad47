"""Whether a file is in the safetensors format: nothing else is ever read, since other formats can run code."""

from __future__ import annotations

import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

START_BYTES = 64
"""How many bytes of the start of a file tell enough of it."""

_LONGEST_HEADER = 100_000_000

_OTHERS = (
    (rb"\s*(<!doctype|<html|<head|<\?xml)", "a web page, not a file of weights"),
    (rb"PK\x03\x04|\x80[\x02-\x05]", "a pickle of PyTorch (.bin, .pt, .ckpt), which can run code when it is read"),
    (rb"GGUF", "a GGUF file"),
    (rb"\x89PNG|\xff\xd8\xff|RIFF....WEBP", "a picture"),
    (rb"\x1f\x8b|7z\xbc\xaf|Rar!", "an archive"),
    (rb"version https://git-lfs", "the pointer of a Git LFS file, not the file"),
    (rb"\s*[{\[]", "JSON"),
)


def check_start(start: bytes) -> None:
    """Look at the first bytes of a file, so that a wrong one need not be fetched to its end.

    Args:
        start: `START_BYTES` of them, or all there are.

    Raises:
        ValueError: it is no safetensors file; the message says what it looks like.
    """
    if not start:
        raise ValueError("it is empty")
    length = int.from_bytes(start[:8], "little")
    if len(start) > 8 and length <= _LONGEST_HEADER and start[8:9] == b"{":
        return
    kind = next((kind for pattern, kind in _OTHERS if re.match(pattern, start, re.IGNORECASE | re.DOTALL)), None)
    raise ValueError(f"it is {kind or 'not in the safetensors format'}. Give a .safetensors file")


def check_file(path: Path) -> None:
    """Make sure that a whole file is in the safetensors format.

    Raises:
        ValueError: it is not, or not whole.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        check_start(file.read(START_BYTES))
    try:
        with safe_open(path, framework="pt"):
            pass
    except SafetensorError as error:
        raise ValueError(f"it is no whole safetensors file ({error}). Give one that is not damaged") from error
