"""What to do where a model needs torchvision: some processors of pictures do, and it is no requirement of ours.

It is built for one torch: that of PyPI does not load beside a torch of another index, such as that for CPUs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import torch

_INDEX = "https://download.pytorch.org/whl"

_AHEAD = 15
"""By how much its minor version is that of torch: 0.17 goes with 2.2."""


def lacks_torchvision(error: BaseException) -> bool:
    """Whether this is for want of torchvision, or of one that loads.

    Where it is missing, diffusers leaves some processors undefined.
    """
    is_missing = importlib.util.find_spec("torchvision") is None
    return any(
        "torchvision" in str(cause).lower()
        or (is_missing and isinstance(cause, NameError) and "Processor" in str(cause))
        for cause in _causes(error)
    )


def torchvision_remedy() -> str:
    """What is wrong with torchvision, and the command that mends it."""
    is_there = importlib.util.find_spec("torchvision") is not None
    wrong = f"does not load beside torch {torch.__version__}" if is_there else "is not installed"
    return f"torchvision {wrong}. Run `{install_command(torch.__version__)}` and start again."


def install_command(torch_version: str) -> str:
    """What installs the torchvision that was built for this torch.

    Args:
        torch_version: such as `2.13.0+cpu`; what follows the plus names the index of packages that it came from.
    """
    public, _, build = torch_version.partition("+")
    major, minor = public.split(".")[:2]
    release = f"0.{int(minor) + _AHEAD}" if major == "2" else "0"
    index = f" --index-url {_INDEX}/{build}" if build else ""
    forced = " --force-reinstall --no-deps"
    return f'pip install{forced} "torchvision=={release}.*"{index}'


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
