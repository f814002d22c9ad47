"""A stand-in for the machine's GPUs: an `nvidia-smi` that tells of those that a test wants."""

from __future__ import annotations

import os
from pathlib import Path


def uuid(number: int) -> str:
    """The UUID of a GPU of the stand-in."""
    return f"GPU-{number}a2b3c4d-0000-1111-2222-333344445555"


def machine_with(gpus: int, folder: Path, *, status: int = 0) -> dict[str, str]:
    """The environment variables of a machine that has so many GPUs.

    Args:
        gpus: how many.
        folder: an empty one.
        status: with which `nvidia-smi` ends.
    """
    rows = "".join(f"{number}, {uuid(number)}\n" for number in range(gpus)) or "No devices were found\n"
    program = folder / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        '[ "$*" = "--query-gpu=index,uuid --format=csv,noheader" ] || exit 2\n'
        f"printf %s '{rows}'\nexit {status}\n"
    )
    program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
