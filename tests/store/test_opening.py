from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from server.errors import StoreError, StoreInUse
from server.store.opening import open_store
from tests.store.predictions import PLENTY, ended, record


async def test_servers_on_two_ports_share_the_default_folder(tmp_path: Path) -> None:
    default = tmp_path / ".darkroom"
    first, second = (open_store(None, default, port, PLENTY) for port in (5000, 5001))
    await first.save([record(ended("a"))])
    assert await second.get("a") is None
    await first.close()
    await second.close()
    assert (default / "predictions-5000.db").exists()
    again = open_store(None, default, 5000, PLENTY)
    assert await again.get("a") is not None
    await again.close()


async def test_the_chosen_folder_is_used(tmp_path: Path) -> None:
    store = open_store(tmp_path / "chosen", tmp_path / "default", 5000, PLENTY)
    await store.close()
    assert (tmp_path / "chosen" / "predictions-5000.db").exists()
    assert not (tmp_path / "default").exists()


async def test_any_free_port_keeps_nothing_unless_a_folder_is_chosen(tmp_path: Path) -> None:
    first, second = (open_store(None, tmp_path / "default", 0, PLENTY) for _ in range(2))
    await first.close()
    await second.close()
    assert not (tmp_path / "default").exists()
    chosen = open_store(tmp_path / "chosen", tmp_path / "default", 0, PLENTY)
    await chosen.close()
    assert (tmp_path / "chosen" / "predictions-0.db").exists()


async def test_a_default_folder_of_no_use_is_replaced_by_a_temporary_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    store = open_store(None, tmp_path / "file" / ".darkroom", 5000, PLENTY)
    assert "cannot be kept in" in caplog.text
    assert "forgotten when this server stops" in caplog.text
    await store.save([record(ended("a"))])
    assert await store.get("a") is not None
    await store.close()


def test_a_chosen_folder_of_no_use_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be kept in"):
        open_store(tmp_path / "file" / "data", tmp_path, 5000, PLENTY)


async def test_a_default_file_in_use_is_an_error(tmp_path: Path) -> None:
    store = open_store(None, tmp_path, 5000, PLENTY)
    with pytest.raises(StoreInUse):
        open_store(None, tmp_path, 5000, PLENTY)
    await store.close()


def test_a_database_of_a_newer_version(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "predictions-5000.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="made by a newer version of Darkroom"):
        open_store(tmp_path, tmp_path, 5000, PLENTY)
    with pytest.raises(StoreError, match="made by a newer version of Darkroom"):
        open_store(tmp_path, tmp_path, 5000, PLENTY)
