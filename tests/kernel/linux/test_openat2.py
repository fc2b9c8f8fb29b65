"""Look-ups below a root that others write to."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.linux.openat2 import BENEATH, IN_ROOT, RESOLVE_NO_SYMLINKS, make_directory, make_file, open_in

LOOKUPS = 300


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root").mkdir()
    fd = os.open(tmp_path / "root", os.O_PATH)
    yield fd
    os.close(fd)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path / "root"


def where(fd: int) -> Path:
    path = Path(os.readlink(f"/proc/self/fd/{fd}"))
    os.close(fd)
    return path


def test_symlinks_start_again_at_the_root(root: int, top: Path) -> None:
    (top / "etc").mkdir()
    (top / "abs").symlink_to("/etc")
    (top / "up").symlink_to("../../../etc")
    for path in ("abs", "/abs", "up", "../../etc", "etc/../../etc", "./etc/"):
        assert where(open_in(root, path)) == top / "etc"
    assert where(open_in(root, "/")) == where(open_in(root, "")) == top


def test_with_beneath_what_leads_outside_is_an_error(root: int, top: Path) -> None:
    (top / "in").mkdir()
    (top / "abs").symlink_to(top / "in")
    (top / "up").symlink_to("..")
    (top / "ok").symlink_to("in")
    assert where(open_in(root, "ok", resolve=BENEATH)) == top / "in"
    for path in ("abs", "up", "in/../../x"):
        with pytest.raises(OSError, match=path) as caught:
            open_in(root, path, resolve=BENEATH)
        assert caught.value.errno == errno.EXDEV


def test_missing_directories_are_made_where_symlinks_lead(root: int, top: Path) -> None:
    (top / "a").symlink_to("/b/c")
    (top / "rel").mkdir()
    (top / "rel" / "link").symlink_to("../d/./e")
    assert where(make_directory(root, "/a/x/y")) == top / "b" / "c" / "x" / "y"
    assert where(make_directory(root, "rel/link/z")) == top / "d" / "e" / "z"
    assert where(make_file(root, "a/file")) == top / "b" / "c" / "file"
    assert (top / "b" / "c" / "file").is_file()


def test_what_is_there_is_kept(root: int, top: Path) -> None:
    (top / "d").mkdir(mode=0o700)
    (top / "f").write_text("kept")
    assert where(make_directory(root, "d")) == top / "d"
    assert where(make_file(root, "f")) == top / "f"
    assert (top / "f").read_text() == "kept"
    assert (top / "d").stat().st_mode & 0o777 == 0o700


def test_modes_are_those_asked_for(root: int, top: Path) -> None:
    before = os.umask(0)
    try:
        os.close(make_directory(root, "p/q", 0o2770))
        os.close(make_file(root, "p/f", 0o640))
    finally:
        os.umask(before)
    assert (top / "p" / "f").stat().st_mode & 0o777 == 0o640
    assert (top / "p" / "q").stat().st_mode & 0o777 == 0o770


@pytest.mark.parametrize(
    ("path", "number"),
    [("file/x", errno.ENOTDIR), ("file", errno.ENOTDIR), ("loop", errno.ELOOP), ("loop/x", errno.ELOOP)],
)
def test_what_cannot_be_a_directory_is_an_error(root: int, top: Path, path: str, number: int) -> None:
    (top / "file").touch()
    (top / "loop").symlink_to("loop")
    with pytest.raises(OSError, match=path.partition("/")[0]) as caught:
        make_directory(root, path)
    assert caught.value.errno == number


def test_endless_chains_of_dangling_links_end(root: int, top: Path) -> None:
    for number in range(60):
        (top / f"l{number}").symlink_to(f"l{number + 1}")
    with pytest.raises(OSError, match="l") as caught:
        make_directory(root, "l0/x")
    assert caught.value.errno == errno.ELOOP
    assert sorted(os.listdir(top)) == sorted(f"l{n}" for n in range(60))


def test_without_symlinks_even_a_dangling_one_is_refused(root: int, top: Path) -> None:
    (top / "link").symlink_to("nowhere")
    for path in ("link", "link/x"):
        with pytest.raises(OSError, match="link") as caught:
            make_directory(root, path, resolve=IN_ROOT | RESOLVE_NO_SYMLINKS)
        assert caught.value.errno == errno.ELOOP
    assert os.listdir(top) == ["link"]


def test_dangling_links_out_of_the_root_make_nothing_outside(root: int, top: Path, tmp_path: Path) -> None:
    (top / "abs").symlink_to(tmp_path / "outside")
    (top / "up").symlink_to("../outside")
    assert where(make_directory(root, "abs")) == top / str(tmp_path / "outside").lstrip("/")
    assert where(make_directory(root, "up")) == top / "outside"
    for name in ("abs2", "up2"):
        (top / name).symlink_to(tmp_path / "gone" if name == "abs2" else "../gone")
        with pytest.raises(OSError, match=name) as caught:
            make_directory(root, name, resolve=BENEATH)
        assert caught.value.errno == errno.EXDEV
    assert sorted(p.name for p in tmp_path.iterdir()) == ["root"]


def test_magic_links_are_not_followed(root: int) -> None:
    proc = os.open("/proc", os.O_PATH)
    for path in ("self/root", "self/cwd", "self/fd/0", "self/exe"):
        with pytest.raises(OSError, match=path) as caught:
            open_in(proc, path)
        assert caught.value.errno == errno.ELOOP
    os.close(proc)


def test_names_with_a_null_byte_are_refused_not_cut(root: int, top: Path) -> None:
    with pytest.raises(ValueError, match="null byte"):
        make_directory(root, "a\0b")
    assert os.listdir(top) == []


def test_an_attacker_who_swaps_directory_and_symlink_gets_nothing_made_outside(
    root: int, top: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (top / "dir").mkdir()
    (top / "evil").symlink_to(outside)
    stop = threading.Event()

    def attack() -> None:
        while not stop.is_set():
            os.rename(top / "dir", top / "aside")
            os.symlink(outside, top / "dir")
            os.unlink(top / "dir")
            os.rename(top / "aside", top / "dir")

    attacker = threading.Thread(target=attack)
    attacker.start()
    made = 0
    try:
        for number in range(LOOKUPS):
            try:
                os.close(make_directory(root, f"evil/../dir/{number % 7}/x", resolve=IN_ROOT))
                made += 1
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EAGAIN, errno.ENOTDIR, errno.ELOOP, errno.EEXIST):
                    raise
    finally:
        stop.set()
        attacker.join()
    assert list(outside.iterdir()) == []
    assert made
