"""The pinned requirements agree with pyproject.toml, with each other and with cog.yaml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "cog.yaml").read_text())


def requirements(file: str) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def pins(file: str) -> dict[str, str]:
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in requirements(file)}


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_each_line_is_one_exact_pin_without_a_condition(file: str) -> None:
    # Cog's reader of requirements drops what follows a semicolon, so a condition would not be one there.
    lines = requirements(file)
    assert lines
    for line in lines:
        assert [specifier.operator for specifier in line.specifier] == ["=="], line
        assert line.marker is None, line
        assert not line.extras, line


@pytest.mark.parametrize("dependency", PROJECT["project"]["dependencies"])
def test_a_dependency_is_pinned_within_its_range(dependency: str) -> None:
    wanted = Requirement(dependency)
    pinned = pins("requirements.txt")[canonicalize_name(wanted.name)]
    assert wanted.specifier.contains(pinned)


@pytest.mark.parametrize("dependency", PROJECT["dependency-groups"]["dev"])
def test_a_development_dependency_is_pinned_within_its_range(dependency: str) -> None:
    wanted = Requirement(dependency)
    pinned = pins("requirements-dev.txt")[canonicalize_name(wanted.name)]
    assert wanted.specifier.contains(pinned)


@pytest.mark.parametrize("dependency", PROJECT["build-system"]["requires"])
def test_what_builds_this_project_is_pinned_too(dependency: str) -> None:
    # script/setup and the Dockerfile build without isolation: with what is installed.
    wanted = Requirement(dependency)
    assert wanted.specifier.contains(pins("requirements.txt")[canonicalize_name(wanted.name)])


def test_both_files_agree() -> None:
    server, development = pins("requirements.txt"), pins("requirements-dev.txt")
    shared = server.keys() & development.keys()
    assert shared
    assert {name: server[name] for name in shared} == {name: development[name] for name in shared}


def test_nothing_of_cuda_is_pinned() -> None:
    # It asks the driver, and brings no library: a few files of Python.
    names = pins("requirements.txt").keys() - {"nvidia-ml-py"}
    assert [name for name in names if name.startswith(("nvidia-", "cuda-", "triton"))] == []


def test_cog_yaml_describes_the_same_environment() -> None:
    build = MANIFEST["build"]
    assert build["python_requirements"] == "requirements.txt"
    assert build["sdk_version"] == pins("requirements-dev.txt")["cog"]
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(build["python_version"])


def test_cog_yaml_has_only_what_cog_knows() -> None:
    # From Cog's reference of cog.yaml, 0.23.
    build_types = {
        "gpu": bool,
        "cuda": str,
        "python_version": str,
        "python_requirements": str,
        "sdk_version": str,
        "system_packages": list,
        "run": list,
    }
    top_types = {"build": dict, "predict": str, "image": str, "concurrency": dict, "environment": list}
    for key, value in MANIFEST.items():
        assert isinstance(value, top_types[key]), key
    for key, value in MANIFEST["build"].items():
        assert isinstance(value, build_types[key]), key


def test_cog_yaml_names_a_predictor_that_is_there() -> None:
    file, name = MANIFEST["predict"].split(":")
    assert f"class {name}" in (ROOT / file).read_text()
