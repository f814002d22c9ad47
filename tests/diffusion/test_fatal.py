"""Errors after which a device is of no use to the process."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from server.diffusion import Engine
from server.diffusion.batching import Rendezvous
from server.diffusion.fatal import EXIT_STATUS, is_fatal
from server.diffusion.gates import gate_of
from server.diffusion.passes import Call, Passes
from server.diffusion.threadstate import ThreadState
from tests.conftest import ROOT, Serve

ILLEGAL = "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported"


@pytest.mark.parametrize(
    ("error", "fatal"),
    [
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), True),
        (torch.AcceleratorError("something else"), True),
        (RuntimeError(ILLEGAL), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("CUDA error: no error of torch"), False),
    ],
)
def test_errors_that_last_are_told_from_others(error: Exception, fatal: bool) -> None:
    assert is_fatal(error) is fatal


@pytest.mark.gpu
def test_a_gpu_that_still_answers_has_not_failed() -> None:
    torch.zeros(1, device="cuda")
    assert not is_fatal(torch.AcceleratorError("CUDA error: invalid configuration argument"))


@pytest.mark.gpu
def test_a_gpu_on_which_an_assertion_has_failed_ends_its_process() -> None:
    program = """if True:
        import torch
        from server.diffusion.batching import Rendezvous
        from server.diffusion.passes import Passes

        def fail():
            torch.zeros(4, device="cuda")[torch.tensor([9], device="cuda")].cpu()

        Rendezvous(Passes(torch.device("cuda"), 4)).submit(fail).result()
    """
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_STATUS
    assert "The device has failed (AcceleratorError: CUDA error: device-side assert triggered)" in done.stderr


def test_an_error_in_a_pass_is_handed_over(engine: Callable[[str], Engine]) -> None:
    pipeline: Any = engine("stable-diffusion").pipeline
    gate = gate_of(pipeline.vae, "decode")
    assert gate is not None
    handed: list[BaseException] = []
    passes = Passes(torch.device("cpu"), 4, on_fatal=handed.append)

    def fail(*_: object) -> None:
        raise RuntimeError(ILLEGAL)

    hook = pipeline.vae.decoder.register_forward_pre_hook(fail)
    passes.run([Call(gate, {"z": torch.zeros(1, 4, 8, 8)}, None, ThreadState())])
    hook.remove()
    assert [str(error) for error in handed] == [ILLEGAL]


def test_an_error_between_passes_is_handed_over() -> None:
    handed: list[BaseException] = []
    rendezvous = Rendezvous(Passes(torch.device("cpu"), 4, on_fatal=handed.append))

    def fail() -> None:
        raise RuntimeError(ILLEGAL)

    with pytest.raises(RuntimeError, match="illegal memory access"):
        rendezvous.submit(fail).result()
    rendezvous.close()
    assert len(handed) == 1


def test_a_server_replaces_a_process_whose_device_has_failed(serve: Serve) -> None:
    server = serve("lose_device", env={"MODEL_ID": str(ROOT / "models" / "emoji")})
    with ThreadPoolExecutor(2) as clients:
        # A long one is at work when the other loses the device.
        long = clients.submit(server.predict, width=64, steps=500)
        broken = clients.submit(server.predict, width=72, steps=1)
        answers = [future.result().json() for future in (long, broken)]
    for answer in answers:
        assert answer["status"] == "failed"
        assert "as the engine does when the device has failed for good; the log says why. Try again" in answer["error"]
    assert server.predict(width=64, steps=1).json()["status"] == "succeeded"
    assert "The device has failed (RuntimeError: CUDA error: an illegal memory access" in "".join(server.lines)
