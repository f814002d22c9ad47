"""`import cog` in the worker process."""

from __future__ import annotations

import subprocess
import sys


def _run(code: str) -> str:
    prelude = "import server.cog; server.cog.alias()\n"
    process = subprocess.run([sys.executable, "-c", prelude + code], capture_output=True, text=True, check=True)
    return process.stdout + process.stderr


def test_there_are_no_second_copies() -> None:
    assert (
        _run("""
import cog, cog.types, cog.predictor
from cog import Path
from cog.types import Path as TypesPath
assert cog is server.cog
assert Path is TypesPath is server.cog.Path is server.cog.types.Path
assert cog.predictor.BasePredictor is cog.BasePredictor
for name, module in list(__import__("sys").modules.items()):
    if name.startswith("server.cog"):
        assert __import__("sys").modules[name.removeprefix("server.")] is module, name
""")
        == ""
    )


def test_deprecated_names_work_and_say_so_once() -> None:
    said = _run("""
import warnings
from cog import ExperimentalFeatureWarning, emit_metric
import cog
warnings.filterwarnings("ignore", category=cog.ExperimentalFeatureWarning)
cog.emit_metric("a", 1)
""")
    warning, metric = said.splitlines()
    assert warning.startswith("cog: ExperimentalFeatureWarning is deprecated: nothing raises it any more")
    assert metric == "cog: emit_metric() is deprecated: use current_scope().record_metric(name, value)."


def test_other_names_do_not_exist() -> None:
    assert "module 'cog' has no attribute 'Predictor'" in _run("""
import cog
try:
    cog.Predictor
except AttributeError as error:
    print(error)
""")
