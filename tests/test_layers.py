"""The layers of `docs/architecture.md`: imports point down only."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

LAYERS = {"cog": 0, "schema": 1, "store": 2, "worker": 2, "service": 3, "api": 4}
"""The packages of `server`, each with its height; one may import those below it, and itself."""

TOP = {
    "__main__",
    "app",
    "assignments",
    "cli",
    "exporting",
    "launch",
    "listener",
    "logs",
    "manifest",
    "oneoff",
    "options",
    "outcome",
    "readiness",
    "recorded",
    "reference",
    "reproduce",
    "settings",
    "telemetry",
    "variables",
}
"""The modules that put the rest together, and the only ones that read settings."""

LEAVES = {
    "server",
    "server.discretion",
    "server.errors",
    "server.metrics",
    "server.prediction",
    "server.tracebacks",
    "server.tracing",
    "server.transcript",
    "server.worker.messages",
}
"""What anyone may import."""

LEAF_IMPORTS = LEAVES | {"server.schema.signature"}

MODULES = sorted((ROOT / "server").rglob("*.py"))


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, absolute, with imported submodules spelled out."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                for alias in names:
                    submodule = f"{module}.{alias.name}"
                    is_module = (ROOT / Path(*submodule.split("."))).with_suffix(".py").exists()
                    yield submodule if is_module else module
            case ast.ImportFrom():
                raise AssertionError(f"{path}: a relative import hides which layer it reaches; write it absolute")


def _ours(path: Path) -> set[str]:
    return {name for name in _imports(path) if name.split(".")[0] == "server"}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_point_down(path: Path) -> None:
    module = _name(path)
    part = module.split(".")[1] if "." in module else ""
    for imported in _ours(path):
        target = imported.split(".")[1] if "." in imported else ""
        if part in TOP or not part:
            continue
        if module in LEAVES:
            assert imported in LEAF_IMPORTS, f"{module} is a leaf and imports {imported}"
        elif part == "diffusion":
            # `server` itself holds the version, and nothing else.
            assert target == "diffusion" or imported == "server", (
                f"{module} imports {imported}; the engine knows nothing else of the server"
            )
        elif imported not in LEAVES:
            assert target in LAYERS, f"{module} imports {imported}, which is above it"
            assert target == part or LAYERS[target] < LAYERS[part], f"{module} imports {imported}, which is above it"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_fastapi_stays_in_the_api(path: Path) -> None:
    module = _name(path)
    if not module.startswith(("server.api", "server.app")):
        assert not {name for name in _imports(path) if name.split(".")[0] in ("fastapi", "starlette")}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_settings_are_read_at_the_top_only(path: Path) -> None:
    if _name(path).partition(".")[2] not in TOP:
        assert "server.settings" not in _ours(path)


def test_predict_py_imports_cog_the_engine_and_the_standard_library() -> None:
    allowed = sys.stdlib_module_names | {"cog"}
    for imported in _imports(ROOT / "predict.py"):
        assert imported.split(".")[0] in allowed or imported.startswith("server.diffusion"), imported


def test_the_http_process_loads_no_model_code() -> None:
    probe = "import sys, server.listener; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"cog", "server.cog", "server.schema.inspect", "torch", "diffusers", "transformers"} & set(modules)


def test_the_page_that_tells_of_them_has_each() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    folders = [f"\n  {name}/ " for name in ("diffusion", *LAYERS)]
    leaves = [f"`{name.removeprefix('server.')}`" for name in LEAVES - {"server"}]
    assert [name for name in folders + leaves if name not in page] == []


def test_the_walk_sees_a_wrong_import(tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text("def late():\n    from server.api import health\n    import server.cog.types\n")
    assert _ours(file) == {"server.api.health", "server.cog.types"}
