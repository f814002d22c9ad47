"""Digests of files."""

import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from server.diffusion import ModelError
from server.diffusion.digests import verify


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of three bytes."""
    file = tmp_path / "weights"
    file.write_bytes(b"abc")
    return file


def test_a_sha256_is_verified(file: Path) -> None:
    verify(file, sha256(b"abc").hexdigest().upper(), "it")
    with pytest.raises(ModelError, match="it came damaged: its SHA-256 is"):
        verify(file, "0" * 64, "it")
    assert not file.exists()


def test_what_git_calls_it_is_verified(file: Path) -> None:
    named = subprocess.run(["git", "hash-object", file], capture_output=True, text=True, check=True).stdout.strip()
    verify(file, named, "it")
    with pytest.raises(ModelError, match="it came damaged: its git SHA-1 is"):
        verify(file, "0" * 40, "it")


@pytest.mark.parametrize("tag", ["", "some-tag", "d41d8cd98f00b204e9800998ecf8427e-2"])
def test_a_tag_that_is_no_digest_says_nothing(tag: str, file: Path) -> None:
    verify(file, tag, "it")
    assert file.exists()
