"""Measuring trees that somebody hostile has made."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.linux import tree_usage as module
from minipod.linux.tree import remove_tree
from minipod.linux.tree_usage import TreeUsage, tree_usage

KI = 1024


def du(path: Path) -> int:
    done = subprocess.run(
        ["du", "-s", "-x", "--block-size=512", path], check=True, capture_output=True, text=True
    )
    return int(done.stdout.split()[0]) * 512


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def tree(workdir: Path) -> Iterator[Path]:
    made = workdir / "tree"
    made.mkdir()
    yield made
    remove_tree(made)


def test_it_counts_as_du_does(tree: Path) -> None:
    (tree / "big").write_bytes(b"x" * 300 * KI)
    (tree / "sub" / "deeper").mkdir(parents=True)
    (tree / "sub" / "deeper" / "small").write_bytes(b"x")
    (tree / "empty").touch()
    with (tree / "hole").open("wb") as file:
        file.truncate(1 << 40)
    os.mkfifo(tree / "fifo")
    found = tree_usage(tree)
    assert found == TreeUsage(du(tree), 8, complete=True)
    assert 300 * KI <= found.bytes < 400 * KI


def test_nothing_there_takes_nothing(tmp_path: Path) -> None:
    assert tree_usage(tmp_path / "none") == TreeUsage()


def test_a_symlink_leads_nowhere(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"x" * 500 * KI)
    (tree / "directory").symlink_to(tmp_path)
    (tree / "file").symlink_to(tmp_path / "outside")
    assert tree_usage(tree).bytes < 100 * KI
    (tmp_path / "top").symlink_to(tree)
    with pytest.raises(NotADirectoryError):
        tree_usage(tmp_path / "top")


def test_another_file_system_is_not_entered(tree: Path) -> None:
    mounted = tree / "mounted"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mounted], check=True)
    try:
        (mounted / "big").write_bytes(b"x" * 500 * KI)
        assert tree_usage(tree).bytes < 100 * KI
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_a_file_with_many_names_is_there_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        original = tree / f"file{number}"
        original.write_bytes(b"x" * 100 * KI)
        for name in range(9):
            os.link(original, tree / f"{number}-{name}")
    exact = du(tree)
    assert tree_usage(tree).bytes == exact
    monkeypatch.setattr(module, "MAX_LINKED", 2)
    assert 0.9 * exact <= tree_usage(tree).bytes <= exact


def deep(top: Path, levels: int) -> None:
    """A chain of directories far longer than a path may be, a file of 100 Ki at its end and one beside each 50th."""
    fd = os.open(top, os.O_RDONLY)
    for level in range(levels):
        os.mkdir(str(level), dir_fd=fd)
        if level % 50 == 0:
            os.mkdir("e", dir_fd=fd)
        child = os.open(str(level), os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = child
    file = os.open("big", os.O_WRONLY | os.O_CREAT, dir_fd=fd)
    os.write(file, b"x" * 100 * KI)
    os.close(file)
    os.close(fd)


def down(levels: int) -> str:
    """The path that many levels down such a chain."""
    return "/".join(map(str, range(levels)))


def test_depth_hides_nothing_and_costs_no_descriptors(tree: Path) -> None:
    deep(tree, 3000)
    before = open_files()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 50, limits[1]))
    try:
        found = tree_usage(tree)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert found.inodes == 1 + 3000 + 60 + 1
    assert found.bytes == du(tree)
    assert open_files() == before


def test_width_costs_no_memory(tree: Path) -> None:
    for number in range(4_000):
        os.mkdir(tree / f"{number:0>100}")
    tracemalloc.start()
    try:
        found = tree_usage(tree)
        assert tracemalloc.get_traced_memory()[1] < 200 * KI
    finally:
        tracemalloc.stop()
    assert found.inodes == 4_001
    assert found.bytes == du(tree)


def test_a_directory_that_is_moved_around_the_walk_does_not_lead_it_astray(tree: Path) -> None:
    (tree / "a").mkdir()
    (tree / "b").mkdir()
    deep(tree / "a", 200)
    for level in range(33, 41):  # something to go on with behind each directory of the chain
        for number in range(20):
            (tree / "a" / down(level) / f"f{number}").touch()
    for number in range(3000):
        (tree.parent / f"not-in-the-tree-{number}").touch()
    asked = 0

    def move_it() -> bool:
        nonlocal asked
        asked += 1
        if asked == 80:  # more than 40 levels down: each piece that is read is asked about
            (tree / "a" / down(40)).rename(tree / "b" / "moved")
        return asked > 2000

    found = tree_usage(tree, stopped=move_it)
    assert found.complete
    there = 3 + 200 + 4 + 1 + 8 * 20
    assert 3 + 200 <= found.inodes <= 2 * there


def test_names_that_change_meanwhile_do_no_harm(tree: Path) -> None:
    """Directories on the way are moved about: whatever is counted, the walk ends, and never outside the tree."""
    for name in ("a", "b"):
        (tree / name).mkdir()
    deep(tree / "a", 200)
    (tree / "stays").write_bytes(b"x" * 100 * KI)
    done = threading.Event()

    def move() -> None:
        there, back = tree / "b" / "moved", tree / "a" / down(40)
        while not done.is_set():
            back.rename(there)
            there.rename(back)

    mover = threading.Thread(target=move)
    mover.start()
    before = open_files()
    try:
        for _ in range(200):
            found = tree_usage(tree)
            assert found.complete
            assert 100 * KI <= found.bytes <= 4000 * KI
    finally:
        done.set()
        mover.join()
    assert open_files() == before


def test_a_walk_that_is_called_off_says_so(tree: Path) -> None:
    deep(tree, 100)
    assert not tree_usage(tree, stopped=lambda: True).complete
