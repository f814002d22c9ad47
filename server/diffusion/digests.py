"""Digests of files, and whether a file is what it should be."""

import hashlib
import os
from pathlib import Path

from server.diffusion.errors import ModelError


def file_digest(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - cog.Path may be a path of any kind
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, digest: str, name: str) -> None:
    """Make sure that a file came as it was sent; one that did not is removed.

    Args:
        path: the file.
        digest: its SHA-256 or, as git has it, the SHA-1 of its length and contents; in hexadecimal digits. Anything
            else says nothing.
        name: what to call it.

    Raises:
        ModelError: it came damaged.
    """
    kind = {64: "SHA-256", 40: "git SHA-1"}.get(len(digest))
    if kind is None:
        return
    begin = b"blob %d\0" % path.stat().st_size
    found = hashlib.sha256() if kind == "SHA-256" else hashlib.sha1(begin, usedforsecurity=False)
    with path.open("rb") as file:
        hashlib.file_digest(file, lambda: found)
    if found.hexdigest() != digest.lower():
        path.unlink()
        raise ModelError(
            f"{name} came damaged: its {kind} is {found.hexdigest()}, not {digest}. Run the same command again."
        )
