"""Removing what containers have written: nothing outside is touched, whatever they built."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from pathlib import Path

import pytest

from minipod.linux.tree import MAX_DEPTH, empty_tree, remove_tree


def test_everything_in_it_goes(workdir: Path) -> None:
    tree = workdir / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").write_text("x")
    (tree / ".hidden").touch()
    os.mkfifo(tree / "fifo")
    os.mknod(tree / "null", 0o20666, os.makedev(1, 3))
    (tree / "a").chmod(0)
    remove_tree(tree)
    assert not tree.exists()


def test_a_directory_can_be_emptied_and_kept(workdir: Path) -> None:
    tree = workdir / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "file").touch()
    empty_tree(tree)
    assert os.listdir(workdir) == ["tree"]
    assert os.listdir(tree) == []


def test_what_is_not_there_is_fine(workdir: Path) -> None:
    remove_tree(workdir / "nothing")


def test_symlinks_are_removed_and_not_followed(workdir: Path) -> None:
    outside = workdir / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    tree = workdir / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(outside)
    (tree / "dangling").symlink_to("/nowhere")
    remove_tree(tree)
    (workdir / "itself").symlink_to(outside)
    remove_tree(workdir / "itself")
    assert (outside / "precious").exists()
    assert sorted(os.listdir(workdir)) == ["outside"]


def deep(top: Path, depth: int) -> None:
    """A directory so deep that its path is longer than the kernel takes."""
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("d" * 20, dir_fd=fd)
        child = os.open("d" * 20, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = child
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd))
    os.close(fd)


def test_a_tree_of_any_depth_needs_few_descriptors(workdir: Path) -> None:
    tree = workdir / "tree"
    tree.mkdir()
    deep(tree, 3000)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 2 * MAX_DEPTH + 20, hard))
    try:
        remove_tree(tree)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not tree.exists()


def test_names_that_are_in_the_way_do_not_stop_it(workdir: Path) -> None:
    tree = workdir / "tree"
    tree.mkdir()
    for number in range(1, 5):
        (tree / f".minipod-{number}" / "full").mkdir(parents=True)
    (tree / ".minipod-5").touch()
    deep(tree, 2 * MAX_DEPTH + 5)
    remove_tree(tree)
    assert not tree.exists()


def test_many_entries(workdir: Path) -> None:
    tree = workdir / "tree"
    tree.mkdir()
    for number in range(5000):
        (tree / f"{number}").touch()
    remove_tree(tree)
    assert not tree.exists()


def test_immutable_files_go_too(workdir: Path) -> None:
    tree = workdir / "tree"
    (tree / "dir").mkdir(parents=True)
    (tree / "dir" / "append").touch()
    (tree / "fixed").touch()
    tried = subprocess.run(["chattr", "+i", tree / "fixed"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"this file system has no flags: {tried.stderr}")
    subprocess.run(["chattr", "+a", tree / "dir" / "append"], check=True)
    subprocess.run(["chattr", "+i", tree / "dir"], check=True)
    with pytest.raises(PermissionError):
        (tree / "fixed").unlink()
    remove_tree(tree)
    assert not tree.exists()


def test_a_file_system_mounted_inside_is_not_entered(workdir: Path) -> None:
    tree = workdir / "tree"
    (tree / "mounted").mkdir(parents=True)
    script = (
        "mount -t tmpfs none $1/mounted && touch $1/mounted/precious && "
        "{ $2 -c 'import sys; from pathlib import Path; from minipod.linux.tree import remove_tree; "
        "remove_tree(Path(sys.argv[1]))' $1; ls $1/mounted; }"
    )
    import sys

    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(tree), sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "precious" in done.stdout
    assert f"[Errno {errno.EXDEV}] a file system is mounted at 'mounted'" in done.stderr
    remove_tree(tree)
