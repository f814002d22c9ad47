"""The engine's public face: what `server.diffusion` offers, and what is said of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from PIL import Image

from server import diffusion
from tests.conftest import ROOT


def _compiled(code: str) -> CodeType:
    compiled: CodeType = compile(code, "docs", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return compiled


async def test_its_examples_run_as_written(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a smaller model than they name."""
    monkeypatch.chdir(tmp_path)
    assert diffusion.__doc__
    example = re.search(r"^engine = .*?(?=\n\n)", diffusion.__doc__, re.MULTILINE | re.DOTALL)
    calls = re.findall(r"`(await engine.*?)`", diffusion.__doc__, re.DOTALL)
    assert example
    assert len(calls) == 1
    names: dict[str, Any] = {"Path": Path, **{name: getattr(diffusion, name) for name in diffusion.__all__}}
    await eval(_compiled(example[0].replace("models/emoji", str(tiny("stable-diffusion")))), names)
    await eval(_compiled(f"pictures = {calls[0]}"), names)
    names["engine"].close()
    with Image.open(tmp_path / "apple.webp") as saved:
        assert saved.size == names["pictures"][0].size


def test_the_page_for_authors_has_every_name() -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    assert [name for name in diffusion.__all__ if not re.search(rf"`{name}\b", page)] == []


def test_every_name_says_what_it_is() -> None:
    named = {name: getattr(diffusion, name) for name in diffusion.__all__}
    assert [name for name, value in named.items() if callable(value) and not value.__doc__] == []
