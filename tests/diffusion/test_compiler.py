"""Compiling in the background."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from server.diffusion.compiler import Compiler
from server.diffusion.gates import Gate, Stage
from server.diffusion.interning import Interned
from server.diffusion.rows import Rows, see_rows

# Of torch itself, when it first compiles.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


class Model:
    """What is to be compiled, and cannot be, unless told otherwise."""

    def __init__(self, stage: Stage = Stage.DENOISE, original: Gate | None = None, device: str = "cpu") -> None:
        self.gate = Gate("model", stage, self.forward, original=original)
        self._device = device

    def forward(self, sample: torch.Tensor) -> Any:
        raise ValueError("cannot be done")

    def rows(self, channels: int = 3, count: int = 1) -> Rows:
        rows = see_rows({"sample": torch.ones(count, channels, device=self._device)}, Interned())
        assert rows is not None
        return rows


class Doubling(Model):
    def forward(self, sample: torch.Tensor) -> Any:
        return torch.nn.functional.silu(sample) * 2


class Noting(Compiler):
    """Compiles nothing, and notes how long it may keep the interpreter when it is to."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.interval = 0.0
        super().__init__(None, (1,))

    def _compile(self, gate: Gate, example: Rows) -> None:
        self.interval = sys.getswitchinterval()
        self.begun.set()


def failures(caplog: pytest.LogCaptureFixture) -> int:
    return caplog.text.count("model cannot be compiled")


def test_what_cannot_be_compiled_goes_on_as_it_is_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    model, compiler = Model(), Compiler(None, (1, 2))
    for _ in range(3):
        assert compiler.find(model.gate, model.rows(), 1) is None
        compiler.wait()
    assert failures(caplog) == 1
    assert "it goes on as it is, slower" in caplog.text


def test_the_first_kind_is_compiled_at_once_and_others_when_it_is_worth_it(caplog: pytest.LogCaptureFixture) -> None:
    model, compiler = Model(), Compiler(None, (1, 2))
    compiler.find(model.gate, model.rows(), 1)
    compiler.wait()
    assert failures(caplog) == 1
    for _ in range(199):
        compiler.find(model.gate, model.rows(channels=4), 1)
    compiler.wait()
    assert failures(caplog) == 1
    compiler.find(model.gate, model.rows(channels=4), 1)
    compiler.wait()
    assert failures(caplog) == 2


def test_only_what_denoises_and_stays_is_compiled(caplog: pytest.LogCaptureFixture) -> None:
    compiler = Compiler(None, (1, 2))
    others = [Model(Stage.PREPARE), Model(Stage.DECODE), Model(original=Model().gate)]
    for model in others:
        for _ in range(300):
            assert compiler.find(model.gate, model.rows(), 1) is None
    compiler.wait()
    assert failures(caplog) == 0


def test_after_forgetting_everything_is_as_at_first(caplog: pytest.LogCaptureFixture) -> None:
    model, compiler = Model(), Compiler(None, (1, 2))
    for expected in (1, 2):
        compiler.find(model.gate, model.rows(), 1)
        compiler.wait()
        assert failures(caplog) == expected
        compiler.forget()


def test_others_have_the_interpreter_again_and_again_while_something_is_compiled() -> None:
    model, compiler, usual = Model(), Noting(), sys.getswitchinterval()
    compiler.find(model.gate, model.rows(), 1)
    compiler.wait()
    assert compiler.interval < usual / 10
    assert sys.getswitchinterval() == usual


def test_nothing_is_compiled_while_it_is_held() -> None:
    model, compiler = Model(), Noting()
    with compiler.held():
        compiler.find(model.gate, model.rows(), 1)
        assert not compiler.begun.wait(0.2)
    compiler.wait()
    assert compiler.begun.is_set()


def test_the_folder_of_the_cache_is_one_that_was_chosen_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever is set within is undone.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "unset")
    monkeypatch.setenv("TRITON_CACHE_DIR", "unset")
    del os.environ["TORCHINDUCTOR_CACHE_DIR"]
    Compiler(tmp_path / "ours", (1,))
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "ours")
    Compiler(tmp_path / "other", (1,))
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "ours")


@pytest.mark.gpu
def test_compiled_code_gives_what_the_model_gives_for_every_number_of_rows() -> None:
    compiler, model = Compiler(None, (1, 2, 4)), Doubling(device="cuda")
    assert compiler.find(model.gate, model.rows(), 1) is None
    compiler.wait()
    for count in (1, 2, 4):
        function: Callable[..., Any] | None = compiler.find(model.gate, model.rows(), count)
        assert function is not None
        sample = torch.randn(count, 3, device="cuda")
        with torch.no_grad():
            torch.testing.assert_close(function(sample=sample), model.forward(sample))
    # A number that was not made ready would be compiled while requests wait.
    assert compiler.find(model.gate, model.rows(), 3) is None
