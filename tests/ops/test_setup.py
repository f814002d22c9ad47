"""script/setup: when it builds an environment, when it leaves it alone, and what it refuses. Only pip is not real."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

# A Python that makes environments of copies of itself, and whose pip writes down what it is asked to do.
PYTHON = """#!/bin/sh
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo "new" >>calls ;;
    "-m pip "* | *" ci --prefix .venv "*) echo "$*" >>calls ;;
    *) exec "$REAL_PYTHON" "$@" ;;
esac
"""
OLD_PYTHON = """#!/bin/sh
[ "$1" != --version ] || exec echo "Python 3.10.13"
exit 1
"""
PYTHON_WITHOUT_VENV = """#!/bin/sh
case "$*" in *venv*) exit 1 ;; *) exec "$REAL_PYTHON" "$@" ;; esac
"""


class Checkout:
    """A folder with what script/setup needs, and a Python of which it can be told to make the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "script").mkdir(parents=True)
        for name in ("setup", "install-requirements"):
            shutil.copy(ROOT / "script" / name, folder / "script" / name)
        for name in ("pyproject.toml", "requirements.txt", "requirements-dev.txt"):
            shutil.copy(ROOT / name, folder / name)
        (folder / "tests" / "clients").mkdir(parents=True)
        for path in (ROOT / "tests" / "clients").glob("package*.json"):
            shutil.copy(path, folder / "tests" / "clients")
        self.write_python(PYTHON)

    def write_python(self, script: str) -> None:
        python = self.folder / "bin" / "python3"
        python.parent.mkdir(exist_ok=True)
        python.write_text(script)
        python.chmod(0o755)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder / 'bin'}:/usr/bin:/bin"
        environment = {"PATH": path, "REAL_PYTHON": sys.executable, "PYTHON": "python3", "TORCH": "cpu", **variables}
        command = [str(self.folder / "script" / "setup"), *arguments]
        return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)

    def calls(self) -> list[str]:
        """What was asked of Python since the last look."""
        path = self.folder / "calls"
        calls = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return calls


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "a checkout")


def test_it_makes_an_environment_once(checkout: Checkout) -> None:
    first = checkout.run()
    assert first.returncode == 0, first.stderr
    calls = checkout.calls()
    assert calls[0] == "new"
    assert calls[-1].endswith("--editable .")
    second = checkout.run()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert checkout.calls() == []


def test_the_development_environment_serves_too(checkout: Checkout) -> None:
    assert checkout.run("--dev").returncode == 0
    calls = checkout.calls()
    assert any("requirements-dev.txt" in call for call in calls)
    assert " ci --prefix .venv " in calls[-1]
    checkout.run()
    checkout.run("--dev")
    assert checkout.calls() == []


def test_the_development_requirements_are_added_to_an_environment(checkout: Checkout) -> None:
    checkout.run()
    assert not any("requirements-dev.txt" in call for call in checkout.calls())
    checkout.run("--dev")
    calls = checkout.calls()
    assert "new" not in calls
    assert any("requirements-dev.txt" in call for call in calls)


def test_a_changed_pin_brings_the_environment_up_to_date(checkout: Checkout) -> None:
    checkout.run()
    checkout.calls()
    with (checkout.folder / "requirements.txt").open("a") as pins:
        pins.write("six==1.17.0\n")
    checkout.run()
    calls = checkout.calls()
    assert calls
    assert "new" not in calls


def test_what_failed_is_tried_again(checkout: Checkout) -> None:
    shutil.move(checkout.folder / "requirements.txt", checkout.folder / "requirements.moved")
    assert checkout.run().returncode != 0
    shutil.move(checkout.folder / "requirements.moved", checkout.folder / "requirements.txt")
    assert checkout.run().returncode == 0
    assert checkout.calls()[-1].endswith("--editable .")


def test_a_moved_folder_gets_a_new_environment(checkout: Checkout) -> None:
    checkout.run()
    checkout.calls()
    moved = checkout.folder.with_name("moved")
    checkout.folder.rename(moved)
    checkout.folder = moved
    checkout.run()
    assert checkout.calls()[0] == "new"


def test_another_build_of_torch_gets_a_new_environment_and_is_remembered(checkout: Checkout) -> None:
    checkout.run(TORCH="cpu")
    checkout.calls()
    checkout.run(TORCH="cuda")
    calls = checkout.calls()
    assert calls[0] == "new"
    assert not any(re.search(r"torch==[\d.]+\+cpu", call) for call in calls)
    checkout.run(TORCH="")
    assert checkout.calls() == []


def test_another_interpreter_gets_a_new_environment_and_is_remembered(checkout: Checkout) -> None:
    checkout.run()
    checkout.calls()
    other = checkout.folder / "bin" / "another python"
    other.symlink_to("python3")
    checkout.run(PYTHON=str(other))
    assert checkout.calls()[0] == "new"
    checkout.run(PYTHON="")
    assert checkout.calls() == []


def test_a_python_that_is_too_old_is_refused(checkout: Checkout) -> None:
    checkout.write_python(OLD_PYTHON)
    process = checkout.run()
    assert process.returncode == 1
    assert "python3 is Python 3.10.13, but Python 3.11" in process.stderr
    assert not (checkout.folder / ".venv").exists()


def test_a_python_that_is_not_there_is_refused(checkout: Checkout) -> None:
    process = checkout.run(PYTHON="/nowhere/python")
    assert process.returncode == 1
    assert "/nowhere/python is not there" in process.stderr


def test_a_python_without_venv_is_refused_with_the_remedy(checkout: Checkout) -> None:
    checkout.write_python(PYTHON_WITHOUT_VENV)
    process = checkout.run()
    assert process.returncode == 1
    assert "apt install python3-venv" in process.stderr


@pytest.mark.parametrize("torch", ["rocm", "CPU", "cpu cuda"])
def test_an_unknown_build_of_torch_is_refused(checkout: Checkout, torch: str) -> None:
    process = checkout.run(TORCH=torch)
    assert process.returncode == 1
    assert f"TORCH is '{torch}'" in process.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--dev", "--dev"], ["dev"]])
def test_an_unknown_option_is_refused(checkout: Checkout, arguments: list[str]) -> None:
    process = checkout.run(*arguments)
    assert process.returncode == 1
    assert "only --dev" in process.stderr
