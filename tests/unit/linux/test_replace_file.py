"""A file is the old one or the new one, for its owner alone where that is asked for, and nothing stays of a failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minipod.linux.replace_file import replace_file


@pytest.mark.parametrize("durable", [False, True])
def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with path.open() as reader:
        replace_file(path, b"new", mode=0o600, durable=durable)
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_mode_is_what_is_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        replace_file(tmp_path / "file", b"", mode=0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_what_a_killed_writer_left_is_not_written_into(tmp_path: Path) -> None:
    half = tmp_path / ".file.new"
    half.symlink_to(tmp_path / "elsewhere")
    replace_file(tmp_path / "file", b"new", mode=0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_stays_of_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "file", b"new", mode=0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
