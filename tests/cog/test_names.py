"""The names and signatures of the real package, which the tests' environment has."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from typing import Any

import pytest

# Run in a process of its own: there `cog` is the real one, or ours once it is aliased.
PROBE = """
import dataclasses, importlib, inspect, json, sys

if sys.argv[1] == "ours":
    import server.cog
    server.cog.alias()

def describe(value):
    if not callable(value):
        return type(value).__name__
    try:
        signature = inspect.signature(value)
    except ValueError:
        return "callable"
    return [[p.name, str(p.kind), p.default is not p.empty] for p in signature.parameters.values()]

def members(cls):
    names = {name for owner in cls.__mro__ for name in vars(owner) if owner.__module__.startswith(("cog", "server"))}
    described = {name: describe(getattr(cls, name)) for name in sorted(names) if not name.startswith("_")}
    return {name: value for name, value in described.items() if value != "member_descriptor"}  # those are attributes

described = {}
for module_name in json.loads(sys.argv[2]):
    module = importlib.import_module(module_name)
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", module.__name__) == module.__name__
        and not inspect.ismodule(value)
    ]
    for name in names:
        value = getattr(module, name)
        described[f"{module_name}.{name}"] = describe(value)
        if inspect.isclass(value):
            described[f"{module_name}.{name}()"] = members(value)
            described[f"{module_name}.{name} bases"] = [
                base.__name__ for base in value.__mro__ if not base.__module__.startswith(("cog", "server"))
            ]
print(json.dumps(described))
"""

MODULES = [
    "cog",
    "cog.coder",
    "cog.errors",
    "cog.input",
    "cog.mode",
    "cog.model",
    "cog.predictor",
    "cog.suppress_output",
    "cog.types",
]

NOT_FOR_MODELS = {
    "cog.predictor.load_predictor_from_ref",  # these are called by Cog's runtime; Darkroom's is `server.worker`
    "cog.predictor.has_setup_weights",
    "cog.predictor.extract_setup_weights",
}


def _describe(which: str) -> dict[str, Any]:
    probe = [sys.executable, "-W", "ignore", "-c", PROBE, which, json.dumps(MODULES)]
    described: dict[str, Any] = json.loads(subprocess.run(probe, capture_output=True, text=True, check=True).stdout)
    return described


@pytest.fixture(scope="module")
def real() -> dict[str, Any]:
    return _describe("real")


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    return _describe("ours")


def test_every_public_name_is_there(real: dict[str, Any], ours: dict[str, Any]) -> None:
    assert real.keys() - ours.keys() == NOT_FOR_MODELS


def test_every_signature_is_the_same(real: dict[str, Any], ours: dict[str, Any]) -> None:
    for name in real.keys() - NOT_FOR_MODELS:
        if name.endswith("()"):
            missing = real[name].keys() - ours[name].keys()
            assert not missing, f"{name} lacks {missing}"
            for member, signature in real[name].items():
                assert ours[name][member] == signature, f"{name}.{member}"
        elif real[name] != "callable":  # of URLFile, Python cannot tell the signature
            assert ours[name] == real[name], name


def test_they_are_of_the_same_release() -> None:
    probe = "import cog; print(cog.__version__)"
    real = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.strip()
    import server.cog

    assert server.cog.__version__ == real


def test_the_names_have_docstrings() -> None:
    import server.cog

    for name in server.cog.__all__:
        value = getattr(server.cog, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name
