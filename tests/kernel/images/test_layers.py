"""Layers unpacked as root and mounted by the real overlayfs."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from minipod.images.errors import InvalidImageError
from minipod.images.stack import LayerStack
from minipod.images.unpack import unpack_layer
from minipod.images.users import User, resolve_user
from tests.kernel.images.overlay import merged
from tests.unit.images.archives import directory, hardlink, member, symlink, tar
from tests.unit.images.trees import tree

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
"""cap_net_bind_service=ep as a version 2 vfs_cap_data."""

Member = tuple[tarfile.TarInfo, bytes]


class Layers:
    """Unpacks layers, each on top of those before."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.stack: list[Path] = []

    def add(self, *members: Member) -> Path:
        path = self._place / f"layer{len(list(self._place.iterdir()))}"
        path.mkdir()
        unpack_layer(io.BytesIO(tar(*members)), path, self.stack)
        self.stack.insert(0, path)
        return path

    def names(self) -> set[str]:
        return set(merged(self.stack, self._place)) - {"."}


@pytest.fixture
def layers(workdir: Path) -> Layers:
    return Layers(workdir)


def test_owners_modes_devices_and_capabilities_are_kept(layers: Layers) -> None:
    made = layers.add(
        directory("home/app", 0o2750, owner=(1000, 1001)),
        member("bin/ping", b"ELF", mode=0o4755, owner=(0, 7), xattrs={"security.capability": CAPABILITY}),
        symlink("bin/link", "ping", owner=(5, 6)),
        member("dev/null", kind=tarfile.CHRTYPE, device=(1, 3), mode=0o666),
        member("dev/disk", kind=tarfile.BLKTYPE, device=(8, 300), mode=0o660, owner=(0, 6)),
        member("run/fifo", kind=tarfile.FIFOTYPE, mode=0o622, owner=(3, 4)),
        member("opt/note", xattrs={"user.note": b"hello", "trusted.note": b"\0\xff"}, owner=(4294967294, 7)),
        directory("opt/d", xattrs={"user.dir": b"1"}),
    )
    found = tree(made)
    assert found["home/app"][:2] == ("drwxr-s---", (1000, 1001))
    assert found["bin/ping"] == ("-rwsr-xr-x", (0, 7), b"ELF", {"security.capability": CAPABILITY}, 1)
    assert found["bin/link"][:3] == ("lrwxrwxrwx", (5, 6), "ping")
    assert found["dev/null"][:3] == ("crw-rw-rw-", (0, 0), (1, 3))
    assert found["dev/disk"][:3] == ("brw-rw----", (0, 6), (8, 300))
    assert found["run/fifo"][:2] == ("prw--w--w-", (3, 4))
    assert found["opt/note"][1] == (4294967294, 7)
    assert found["opt/note"][3] == {"user.note": b"hello", "trusted.note": b"\0\xff"}
    assert found["opt/d"][3] == {"user.dir": b"1"}


def test_a_whiteout_hides_a_file_and_a_whole_directory(layers: Layers) -> None:
    layers.add(
        member("a/keep"), member("a/gone"), member("a/dir/deep/file"), symlink("a/l", "x"), member("b")
    )
    layers.add(member("a/.wh.gone"), member("a/.wh.dir"), member("a/.wh.l"), member(".wh.b"))
    assert layers.names() == {"a", "a/keep"}
    assert LayerStack(layers.stack).lookup((b"a", b"gone")) is None


def test_a_whiteout_of_nothing_leaves_nothing_to_see(layers: Layers) -> None:
    top = layers.add(member("a/.wh.nothing"), member(".wh..wh.plnk"), member("a/.wh..wh.aufs"))
    layers.add(member("b/.wh.none"), member("a/x"))
    layers.add(member("a/.wh.none"), member("new/x"), member("new/.wh.none"))
    assert layers.names() == {"a", "a/x", "new", "new/x"}
    assert set(tree(top)) == {"."}


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_what_a_layer_hides_and_makes_anew_is_its_own(layers: Layers, whiteout_first: bool) -> None:
    layers.add(member("d/old"), member("f", b"old"), member("implied/old"))
    hide = [member(".wh.d"), member(".wh.f"), member(".wh.implied")]
    make = [directory("d"), member("d/new"), member("f", b"new"), member("implied/new")]
    layers.add(*(hide + make if whiteout_first else make + hide))
    assert layers.names() == {"d", "d/new", "f", "implied", "implied/new"}
    assert merged(layers.stack, layers.stack[0].parent)["f"][2] == b"new"


@pytest.mark.parametrize("first", ["a", "b"])
def test_whiteouts_below_what_is_gone_itself(layers: Layers, first: str) -> None:
    """As umoci writes it: the directory is gone or a file, and all that was in it is listed too."""
    layers.add(member("gone/x"), member("gone/d/y"), member("file/x"), member("kept"))
    entries = [member(".wh.gone"), member("file", b"now"), member("gone/.wh.x"), member("gone/d/.wh.y")]
    entries += [member("file/.wh.x"), member("file/.wh..wh..opq"), member("never/there/.wh.z")]
    layers.add(*(entries if first == "a" else reversed(entries)))
    assert layers.names() == {"kept", "file"}


@pytest.mark.parametrize("marker_first", [True, False])
def test_an_opaque_directory_hides_all_below(layers: Layers, marker_first: bool) -> None:
    layers.add(member("d/one"), member("d/sub/two"))
    layers.add(member("d/three"))
    marker, new = member("d/.wh..wh..opq"), member("d/sub/new")
    top = layers.add(*([marker, new] if marker_first else [new, marker]))
    assert os.getxattr(top / "d", "trusted.overlay.opaque") == b"y"
    assert layers.names() == {"d", "d/sub", "d/sub/new"}
    layers.add(member("d/sub/.wh.new"), member("d/sub/last"))
    assert layers.names() == {"d", "d/sub", "d/sub/last"}


def test_a_file_where_a_directory_of_whiteouts_was(layers: Layers) -> None:
    layers.add(member("d/x"), member("d/sub/y"))
    layers.add(member("d/sub/.wh.y"), member(".wh.d"), member("d", b"file"), member(".wh.d"))
    assert layers.names() == {"d"}


def test_whiteouts_in_what_becomes_opaque_are_not_listed(layers: Layers) -> None:
    layers.add(member("d/a"), member("d/sub/b"), member("d/sub/c"), member("d/other/e"))
    layers.add(
        member("d/.wh.a"),
        member("d/sub/.wh.b"),
        member("d/other/.wh.e"),
        member("d/other/own"),
        member("d/.wh..wh..opq"),
        member("d/sub/late"),
    )
    assert layers.names() == {"d", "d/other", "d/other/own", "d/sub", "d/sub/late"}


@pytest.mark.parametrize("marker_first", [True, False])
def test_an_opaque_root_hides_everything(layers: Layers, marker_first: bool) -> None:
    layers.add(member("etc/a"), member("file"), directory("gone"))
    marker, new = member(".wh..wh..opq"), member("etc/b")
    layers.add(*([marker, new] if marker_first else [new, marker]))
    assert layers.names() == {"etc", "etc/b"}


def test_a_directory_instead_of_a_file_and_the_reverse(layers: Layers) -> None:
    layers.add(member("x", b"file"), member("y/file"), symlink("z", "y"))
    layers.add(directory("x"), member("x/in"), member("y", b"now a file"), directory("z"), member("z/in"))
    assert layers.names() == {"x", "x/in", "y", "z", "z/in"}


def test_an_implied_directory_keeps_the_look_of_the_one_below(layers: Layers) -> None:
    layers.add(
        directory("tmp", 0o1777, owner=(1, 2), mtime=77, xattrs={"user.a": b"b"}),
        member("tmp/old"),
        directory(".", 0o750),
    )
    layers.add(member("tmp/new"))
    layers.add(member("tmp/.wh.old"))
    found = merged(layers.stack, layers.stack[0].parent, times=True)
    assert found["tmp"][:2] == ("drwxrwxrwt", (1, 2))
    assert found["tmp"][3] == {"user.a": b"b"}
    assert found["tmp"][5] == 77 * 10**9
    assert found["."][0] == "drwxr-x---"
    assert "tmp/new" in found
    assert "tmp/old" not in found


def test_files_written_through_a_link_of_the_layer_below(layers: Layers) -> None:
    """A merged /usr: the layer says bin/tool, and bin is a link."""
    layers.add(directory("usr/bin"), symlink("bin", "usr/bin"), member("usr/bin/sh"))
    layers.add(member("bin/tool"), member("bin/.wh.sh"))
    assert layers.names() == {"bin", "usr", "usr/bin", "usr/bin/tool"}


def test_the_layers_below_are_never_written(layers: Layers) -> None:
    base = layers.add(directory("d"), member("d/victim", b"safe"), symlink("l", "d"), member("h", b"1"))
    before = tree(base, times=True)
    layers.add(
        member("d/victim", b"new"), member("l/more"), member(".wh.h"), directory("d", 0o700, owner=(9, 9))
    )
    with pytest.raises(InvalidImageError, match="which the layer does not have"):
        layers.add(hardlink("steal", "d/victim2"), member("steal", b"evil"))
    assert tree(base, times=True) == before


def test_users_across_whiteouts(layers: Layers) -> None:
    layers.add(member("etc/passwd", b"app:x:1:1::/:\n"), member("etc/group", b"g:x:5:app\n"))
    base = list(layers.stack)
    layers.add(member("etc/.wh.group"))
    assert resolve_user(layers.stack, "app") == User(uid=1, gid=1, name="app")
    layers.stack = base
    layers.add(member("etc/.wh..wh..opq"), member("etc/passwd", b"app:x:2:2::/:\n"))
    assert resolve_user(layers.stack, "app") == User(uid=2, gid=2, name="app")


def test_a_device_zero_in_a_layer_is_what_overlayfs_says_it_is(layers: Layers) -> None:
    """containerd keeps such nodes too: it is the same as a whiteout written the usual way."""
    layers.add(member("a"), member("b"))
    top = layers.add(member("a", kind=tarfile.CHRTYPE, device=(0, 0)))
    assert stat.S_ISCHR((top / "a").stat().st_mode)
    assert layers.names() == {"b"}
