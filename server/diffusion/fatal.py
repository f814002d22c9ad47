"""Errors after which the device is of no use to this process any more, so that the process has to end."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import torch

from server.diffusion.errors import first_line
from server.diffusion.memory import is_shortage

EXIT_STATUS = os.EX_TEMPFAIL
"""Of a process that ends so: try again, with another one."""


def is_fatal(error: BaseException) -> bool:
    """Whether no later work on the device can succeed in this process.

    CUDA keeps an error of a kernel, such as a failed assertion or an access to foreign memory, and returns it for all
    that is asked of it afterwards. Others, such as a launch with sizes that are not allowed, leave it as it was.
    """
    if not isinstance(error, RuntimeError) or is_shortage(error):
        return False
    of_cuda = isinstance(error, torch.AcceleratorError) or "CUDA error:" in str(error) or "cuDNN error:" in str(error)
    return of_cuda and not _answers()


def end_process(error: BaseException) -> NoReturn:
    """End this process at once, and say why on its standard error: whoever supervises it starts another one."""
    reason = first_line(error)
    message = (
        f"The device has failed ({type(error).__name__}: {reason}), and would fail all that is asked of it from now "
        "on. This process ends, so that another one can take over.\n"
    )
    if sys.__stderr__:
        # Not sys.stderr: what a server puts there may be sent by a thread that does not come to it any more.
        os.write(sys.__stderr__.fileno(), message.encode(errors="replace"))
    # Nothing is cleaned up: whatever touches the device would fail, or hang.
    os._exit(EXIT_STATUS)


def _answers() -> bool:
    """Whether the device still does what it is asked to."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True
