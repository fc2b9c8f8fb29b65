"""The write-ahead log has room on the disk before it needs it, while the database is open and after."""

from __future__ import annotations

from pathlib import Path

from minipod.storage.database import LOG_ROOM, Database, Row
from minipod.storage.interface import Key

ROW = Row(Key("pods", "default", "a"), 7, 0.0, b"{}")


def room(path: Path) -> int:
    return path.with_name(path.name + "-wal").stat().st_blocks * 512


def test_the_log_keeps_its_room_across_daemons(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for _ in range(3):
        database = Database(path)
        database.open()
        assert room(path) >= LOG_ROOM
        database.write([ROW], 7, durable=True)
        assert list(database.rows()) == [ROW]
        database.close()
        assert room(path) >= LOG_ROOM


def test_a_log_that_was_never_folded_in_is_read_from_its_room(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    database.open()
    database.write([ROW], 7, durable=True)
    copy = tmp_path / "copy.db"
    for suffix in ("", "-wal"):
        (tmp_path / f"copy.db{suffix}").write_bytes((tmp_path / f"state.db{suffix}").read_bytes())
    database.close()
    again = Database(copy)
    again.open()
    assert list(again.rows()) == [ROW]
    again.close()
