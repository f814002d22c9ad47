"""What the Dockerfile copies is there, and reaches the builder. script/test-container builds and runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SOURCES = sorted(
    {source for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]}
)
ADMITTED = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}


def test_something_is_copied() -> None:
    assert {"server", "predict.py", "cog.yaml", "models", "requirements.txt"} <= set(SOURCES)


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_copied_is_there_and_not_ignored(source: str) -> None:
    assert (ROOT / source).exists()
    assert ADMITTED & {source, *map(str, Path(source).parents)}


def test_what_is_not_ignored_is_copied() -> None:
    assert set(SOURCES) >= ADMITTED


def test_no_shell_stands_between_the_engine_and_the_server() -> None:
    for instruction in ("ENTRYPOINT", "CMD"):
        assert re.search(rf"^{instruction} \[", DOCKERFILE, re.MULTILINE)
