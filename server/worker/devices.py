"""Which GPUs `--devices` means. Found without CUDA, whose libraries only the model's process loads."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Mapping
from itertools import takewhile
from typing import NamedTuple

from server.errors import DeviceError

logger = logging.getLogger(__name__)

VARIABLE = "CUDA_VISIBLE_DEVICES"
"""The variable by which CUDA is told what a process may use."""

_ORDER = "CUDA_DEVICE_ORDER"
_NVIDIA_SMI = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")
_NVIDIA_SMI_SECONDS = 60.0
"""A driver that is not kept loaded takes its time for each GPU."""


class _Gpu(NamedTuple):
    number: str
    uuid: str


def choose_devices(wanted: str | None, environment: Mapping[str, str]) -> list[str]:
    """The devices that get a process each, by the names that `CUDA_VISIBLE_DEVICES` takes.

    Args:
        wanted: `all`, or names with commas between, without spaces, each once; `None` is no choice.
        environment: that of this process. If it has `CUDA_VISIBLE_DEVICES`, that says what there is.

    Returns:
        One at least; none only where nothing is wanted.

    Raises:
        DeviceError: there is none, or one is named that is not there, that the environment hides, or that has been
            named before.
    """
    if wanted is None:
        return []
    gpus = _installed()
    visible = _visible(environment)
    names = _all(gpus, visible) if wanted == "all" else wanted.split(",")
    if gpus is None:
        logger.warning("nvidia-smi does not tell which GPUs there are, so %s is taken as it is.", ", ".join(names))
    seen: dict[str, str] = {}
    for name in names:
        identity = _identity(name, gpus)
        if identity is None:
            raise DeviceError(
                f"--devices: there is no GPU {name} on this machine; there is {_listed(gpus)}. Name one of these, "
                "or leave the option out."
            )
        if visible is not None and identity not in [_identity(other, gpus) for other in visible]:
            raise DeviceError(
                f"--devices names the GPU {name}, which {VARIABLE}={environment[VARIABLE]} hides. Name one of those, "
                "or change that variable."
            )
        if identity in seen:
            raise DeviceError(f"--devices: {seen[identity]} and {name} are the same GPU. Name it once.")
        seen[identity] = name
    return names


def is_device(name: str) -> bool:
    """Whether `name` can be that of a device: a number, or a UUID of a GPU or of a part of one, or its beginning."""
    return (name.isascii() and name.isdigit()) or name.startswith(("GPU-", "MIG-"))


def variables_for(device: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables by which a process sees one device only.

    Args:
        device: one of those that `choose_devices` returns.
        environment: as there.
    """
    variables = {VARIABLE: device}
    if not {VARIABLE, _ORDER} & environment.keys():
        # A number means what it means to nvidia-smi; CUDA by itself counts from the fastest.
        variables[_ORDER] = "PCI_BUS_ID"
    return variables


def _all(gpus: list[_Gpu] | None, visible: list[str] | None) -> list[str]:
    if visible is not None:
        if not visible:
            raise DeviceError(
                f"--devices all: {VARIABLE} is set and names no GPU. Unset it, or leave the option out to run on the "
                "CPU."
            )
        return visible
    if not gpus:
        raise DeviceError(
            "--devices all: nvidia-smi tells of no GPU on this machine. Install NVIDIA's driver, start the container "
            "with --gpus all, or leave the option out to run on the CPU."
        )
    return [gpu.number for gpu in gpus]


def _visible(environment: Mapping[str, str]) -> list[str] | None:
    value = environment.get(VARIABLE)
    if value is None:
        return None
    # As CUDA reads it: what follows the first that cannot be one does not count.
    return list(takewhile(is_device, (name.strip() for name in value.split(","))))


def _installed() -> list[_Gpu] | None:
    """The GPUs of this machine, in the order of their numbers; `None` where that cannot be known."""
    try:
        answer = subprocess.run(_NVIDIA_SMI, capture_output=True, text=True, check=True, timeout=_NVIDIA_SMI_SECONDS)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [[part.strip() for part in line.split(",")] for line in answer.stdout.splitlines()]
    return [_Gpu(*row) for row in rows if len(row) == len(_Gpu._fields)]


def _identity(name: str, gpus: list[_Gpu] | None) -> str | None:
    """What is the same for all names of a device; `None` if there is none of this name."""
    if gpus is None or name.startswith("MIG-"):
        return name
    found = [gpu.uuid for gpu in gpus if name == gpu.number or (name.startswith("GPU-") and gpu.uuid.startswith(name))]
    return found[0] if len(found) == 1 else None


def _listed(gpus: list[_Gpu] | None) -> str:
    return ", ".join(f"{gpu.number} ({gpu.uuid})" for gpu in gpus or ()) or "none"
