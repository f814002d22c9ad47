from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from server.errors import StoreError, StoreInUse
from server.store.file import DatabaseFile
from tests.conftest import ROOT

HOLD = """
import sys
from pathlib import Path
from server.store.file import DatabaseFile
file = DatabaseFile(Path(sys.argv[1]), "test.db")
print("held", flush=True)
sys.stdin.read()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_private_and_ignored_by_git(tmp_path: Path) -> None:
    folder = tmp_path / "a" / ".darkroom"
    file = DatabaseFile(folder, "test.db")
    assert file.path == folder / "test.db"
    assert mode(folder) == 0o700
    assert mode(file.path) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"
    file.close()


def test_a_folder_that_was_there_is_left_as_it_is(tmp_path: Path) -> None:
    DatabaseFile(tmp_path, "test.db").close()
    assert not (tmp_path / ".gitignore").exists()


def test_a_temporary_one_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = DatabaseFile.temporary("test.db")
    file.path.write_text("x")
    assert file.path.is_relative_to(tmp_path)
    file.close()
    assert list(tmp_path.iterdir()) == []


def test_two_files_in_one_folder(tmp_path: Path) -> None:
    first, second = DatabaseFile(tmp_path, "1.db"), DatabaseFile(tmp_path, "2.db")
    first.close()
    second.close()


def test_another_process_has_it_until_it_dies(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreInUse, match=rf"test.db is in use by another server \(process {holder.pid}\). Stop"):
            DatabaseFile(tmp_path, "test.db")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    DatabaseFile(tmp_path, "test.db").close()


def test_it_is_free_after_close(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path, "test.db")
    with pytest.raises(StoreInUse, match=rf"process {os.getpid()}"):
        DatabaseFile(tmp_path, "test.db")
    file.close()
    DatabaseFile(tmp_path, "test.db").close()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_made(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot be kept in .*/file.*another folder by --data-dir"):
        DatabaseFile(tmp_path / place, "test.db")


def test_a_folder_in_place_of_the_database(tmp_path: Path) -> None:
    (tmp_path / "test.db").mkdir()
    with pytest.raises(StoreError, match="cannot be kept"):
        DatabaseFile(tmp_path, "test.db")
    (tmp_path / "test.db").rmdir()
    DatabaseFile(tmp_path, "test.db").close()
