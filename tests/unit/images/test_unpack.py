"""Layers unpacked without privileges: honest content, and entries that try to get out."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minipod.images.errors import ImageError, InvalidImageError
from minipod.images.layer_writer import LayerLimits
from minipod.images.unpack import UnpackedLayer, unpack_layer
from tests.unit.images.archives import digest, directory, hardlink, member, symlink, tar
from tests.unit.images.trees import tree

Member = tuple[tarfile.TarInfo, bytes]


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open() -> Iterator[None]:
    before = os.listdir("/proc/self/fd")
    yield
    assert os.listdir("/proc/self/fd") == before


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "layer"
    path.mkdir()
    return path


def unpack(target: Path, *members: Member, lower: tuple[Path, ...] = ()) -> UnpackedLayer:
    return unpack_layer(io.BytesIO(tar(*members)), target, lower)


def new_layer(parent: Path, name: str, *members: Member, lower: tuple[Path, ...] = ()) -> Path:
    (parent / name).mkdir()
    unpack(parent / name, *members, lower=lower)
    return parent / name


def test_content_modes_and_times(layer: Path) -> None:
    made = tar(
        directory("bin", 0o2755, mtime=5),
        member("bin/tool", b"#!", mode=0o4755, mtime=1234.5),
        symlink("bin/alias", "tool", mtime=7),
        hardlink("bin/other", "bin/tool"),
        member("pipe", kind=tarfile.FIFOTYPE, mode=0o620),
        directory("closed", 0),
        member("closed/file", b"in"),
        directory("tmp/", 0o1777),
    )
    result = unpack_layer(io.BytesIO(made), layer)
    assert result == UnpackedLayer(diff_id=digest(made), size=4)
    os.chmod(layer / "closed", 0o700)
    found = tree(layer, times=True)
    assert {path: entry[0] for path, entry in found.items()} == {
        ".": "drwxr-xr-x",
        "bin": "drwxr-sr-x",
        "bin/alias": "lrwxrwxrwx",
        "bin/other": "-rwsr-xr-x",
        "bin/tool": "-rwsr-xr-x",
        "closed": "drwx------",
        "closed/file": "-rw-r--r--",
        "pipe": "prw--w----",
        "tmp": "drwxrwxrwt",
    }
    assert found["bin/tool"][2] == b"#!"
    assert found["bin/alias"][2] == "tool"
    assert found["bin/tool"][4] == 2
    assert (layer / "bin/tool").samefile(layer / "bin/other")
    times = {path: entry[5] for path, entry in found.items()}
    assert (times["bin"], times["bin/tool"], times["bin/alias"]) == (5 * 10**9, 1_234_500_000_000, 7 * 10**9)


def test_gzip_and_the_digest(layer: Path) -> None:
    plain = tar(member("a", b"1"))
    assert unpack_layer(io.BytesIO(gzip.compress(plain)), layer, diff_id=digest(plain)).diff_id == digest(
        plain
    )


def test_what_follows_the_end_marker_counts_for_the_digest(layer: Path) -> None:
    plain = tar(member("a", b"1")) + bytes(1_000_000)
    assert unpack_layer(io.BytesIO(plain), layer).diff_id == digest(plain)


def test_another_content_than_promised_is_refused(layer: Path) -> None:
    with pytest.raises(InvalidImageError, match=r"has the digest sha256:.*, expected sha256:0000"):
        unpack_layer(io.BytesIO(tar(member("a"))), layer, diff_id="sha256:" + "0" * 64)


def test_the_last_of_several_entries_of_a_name_counts(layer: Path) -> None:
    unpack(
        layer,
        member("file", b"old" * 100),
        member("file", b"new"),
        directory("d"),
        member("d/inner/deep", b"gone"),
        member("d", b"now a file"),
        symlink("l", "file"),
        directory("l"),
        member("l/x", b"x"),
        directory("keep", 0o700),
        member("keep/me", b"kept"),
        directory("keep", 0o755),
    )
    assert {p: e[2] for p, e in tree(layer).items() if e[0] != "drwxr-xr-x"} == {
        "file": b"new",
        "d": b"now a file",
        "l/x": b"x",
        "keep/me": b"kept",
    }


def test_names_are_relative_to_the_layer(layer: Path) -> None:
    unpack(
        layer,
        directory("./", 0o711),
        member("/etc/absolute", b"1"),
        member("./dot", b"2"),
        member("a//b/./c", b"3"),
    )
    assert (layer / "etc/absolute").read_bytes() == b"1"
    assert (layer / "dot").read_bytes() == b"2"
    assert (layer / "a/b/c").read_bytes() == b"3"
    assert layer.stat().st_mode & 0o7777 == 0o711


def test_links_on_the_way_are_followed_inside_the_image(layer: Path) -> None:
    unpack(
        layer,
        directory("usr/bin"),
        directory("run"),
        symlink("bin", "usr/bin"),
        symlink("var/run", "/run"),
        symlink("var/twice", "../var/run"),
        member("bin/sh", b"sh"),
        member("var/run/pid", b"1"),
        member("var/twice/lock", b"2"),
        hardlink("bin/bash", "bin/sh"),
    )
    assert (layer / "usr/bin/sh").read_bytes() == b"sh"
    assert (layer / "run/pid").read_bytes() == b"1"
    assert (layer / "run/lock").read_bytes() == b"2"
    assert (layer / "usr/bin/bash").samefile(layer / "usr/bin/sh")


def test_implied_directories_look_like_those_below(tmp_path: Path) -> None:
    base = new_layer(
        tmp_path,
        "base",
        directory("tmp", 0o1777, mtime=9),
        directory("srv/a", 0o700),
        symlink("lib", "usr/lib"),
        directory("usr/lib"),
    )
    top = new_layer(
        tmp_path, "top", member("tmp/new"), member("srv/a/b/new"), member("lib/new"), lower=(base,)
    )
    found = tree(top, times=True)
    assert (found["tmp"][0], found["tmp"][5]) == ("drwxrwxrwt", 9 * 10**9)
    assert [found[p][0] for p in ("srv", "srv/a", "srv/a/b")] == ["drwxr-xr-x", "drwx------", "drwxr-xr-x"]
    assert "lib" not in found
    assert "usr/lib/new" in found


def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "victim").write_text("safe")
    return path


TRAPS: dict[str, tuple[list[Member], str]] = {
    "dot dot": ([member("../outside/evil")], 'has ".." in it'),
    "dot dot inside": ([member("a/../../outside/evil")], 'has ".." in it'),
    "dot dot directory": ([directory("../outside/evil")], 'has ".." in it'),
    "relative link": ([symlink("l", "../outside"), member("l/evil")], "goes through the link 'l'"),
    "absolute link": ([symlink("l", "@OUT@"), member("l/evil")], "goes through the link 'l'"),
    "link to root": ([symlink("l", "/"), member("l/@OUT@/../evil")], 'has ".." in it'),
    "chain of links": (
        [directory("d"), symlink("d/up", ".."), symlink("m", "d/up/.."), member("m/outside/evil")],
        "goes through the link 'm'",
    ),
    "link over a directory": (
        [directory("d"), member("d/x"), symlink("d", "@OUT@"), member("d/evil")],
        "goes through the link 'd'",
    ),
    "directory entry through a link": (
        [symlink("l", "@OUT@"), directory("l/evil")],
        "goes through the link",
    ),
    "link to a file": ([member("f"), symlink("l", "f"), member("l/x")], "goes through the link 'l' to 'f'"),
    "directory replaced behind a link": (
        [directory("d"), symlink("d/l", "/"), member("d/l/d", b"file"), member("d/l/y")],
        "its parent 'd' is no directory",
    ),
    "link loop": ([symlink("a", "b"), symlink("b", "a"), member("a/x")], "goes through the link 'a'"),
    "hard link out": ([hardlink("h", "../outside/victim"), member("h", b"evil")], "out of the layer"),
    "absolute hard link": ([hardlink("h", "@OUT@/victim")], "no directory"),
    "hard link through a link": (
        [symlink("l", "@OUT@"), hardlink("h", "l/victim")],
        "goes through the link 'l'",
    ),
    "hard link to a directory": ([directory("d"), hardlink("h", "d")], "which the layer does not have"),
    "hard link to itself": ([member("a"), hardlink("a", "a")], "which the layer does not have"),
    "hard link to nothing": ([hardlink("h", "missing")], "which the layer does not have"),
    "whiteout through a link": ([symlink("l", "@OUT@"), member("l/.wh.victim")], "goes through the link"),
    "opaque through a link": ([symlink("l", "@OUT@"), member("l/.wh..wh..opq")], "goes through the link"),
    "whiteout of dot dot": ([member("d/.wh..")], "a whiteout without a name"),
    "whiteout of dot dot dot": ([member("d/.wh...")], "a whiteout without a name"),
    "nameless whiteout": ([member("d/.wh.")], "a whiteout without a name"),
    "root becomes a link": ([symlink(".", "@OUT@")], "a symlink in place of the layer's root"),
    "root becomes a hard link": ([member("a"), hardlink("/", "a")], "in place of the layer's root"),
    "file as a directory": ([member("f"), member("f/x")], "its parent 'f' is no directory"),
    "long name": ([member("n" * 256)], "has more than 255 bytes"),
    "deep": ([member("d/" * 300 + "x")], "more than 256 directories deep"),
    "deep by links": (
        [directory("d/" * 250), symlink("l", "d/" * 250), member("l/" + "e/" * 20 + "x")],
        "more than 256 directories deep",
    ),
    "deep by a ladder of links": (
        [
            directory("d/" * 250),
            symlink("s0", "d/" * 250),
            *(m for i in range(10) for m in (directory(f"s{i}/e"), symlink(f"s{i + 1}", f"s{i}/e"))),
        ],
        "more than 256 directories deep",
    ),
    "long path": ([member("/".join(["p" * 200] * 20))], "more than 3800 bytes"),
    "owner -1": ([member("f", owner=(2**32 - 1, 0))], "its owner 4294967295:0 is beyond"),
    "device number": ([member("f", kind=tarfile.BLKTYPE, device=(0o7777777, 0))], "out of range"),
}


@pytest.mark.parametrize("trap", list(TRAPS))
def test_traps_are_refused_and_touch_nothing(tmp_path: Path, layer: Path, trap: str) -> None:
    out = outside(tmp_path)
    members, reason = TRAPS[trap]
    for info, _ in members:
        info.linkname = info.linkname.replace("@OUT@", str(out))
    before = tree(out, times=True)
    with pytest.raises(InvalidImageError) as caught:
        unpack(layer, *members)
    assert reason in str(caught.value)
    assert str(caught.value).startswith("entry '")
    assert tree(out, times=True) == before
    assert {p.name for p in tmp_path.iterdir()} == {"layer", "outside"}


def test_a_link_outwards_that_nothing_goes_through_is_kept(layer: Path) -> None:
    unpack(layer, symlink("mtab", "/proc/mounts"), symlink("up", "../../../../etc"))
    assert os.readlink(layer / "mtab") == "/proc/mounts"
    assert os.readlink(layer / "up") == "../../../../etc"


def test_a_file_replaced_while_a_hard_link_points_at_it(layer: Path) -> None:
    unpack(
        layer,
        member("a", b"1"),
        hardlink("b", "a"),
        member("a", b"2"),
        hardlink("b", "a"),
        hardlink("b", "a"),
    )
    assert (layer / "b").read_bytes() == b"2"


@pytest.mark.parametrize("cut", [520, 600, 1100])
def test_a_truncated_layer_is_refused(layer: Path, cut: int) -> None:
    with pytest.raises(InvalidImageError, match="truncated"):
        unpack_layer(io.BytesIO(tar(member("a", b"x" * 1000))[:cut]), layer)


def test_a_truncated_gzip_layer_is_refused(layer: Path) -> None:
    data = gzip.compress(tar(member("a", os.urandom(100_000))))
    with pytest.raises(InvalidImageError, match="truncated"):
        unpack_layer(io.BytesIO(data[:50_000]), layer)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (LayerLimits(entries=2), "more than 2 entries"),
        (LayerLimits(bytes=250), "more than 250 bytes"),
    ],
)
def test_limits(layer: Path, limits: LayerLimits, reason: str) -> None:
    made = tar(*(member(f"f{i}", b"x" * 100) for i in range(3)))
    with pytest.raises(InvalidImageError, match=reason):
        unpack_layer(io.BytesIO(made), layer, limits=limits)


def test_a_huge_claim_is_refused_before_anything_is_written(layer: Path) -> None:
    huge = tarfile.TarInfo("huge")
    huge.size = 2**50
    with pytest.raises(InvalidImageError, match="more than 68719476736 bytes"):
        unpack_layer(io.BytesIO(huge.tobuf(tarfile.GNU_FORMAT)), layer)
    assert not list(layer.iterdir())


def test_overlay_s_own_xattrs_are_left_out(layer: Path) -> None:
    unpack(
        layer,
        member("f", xattrs={"user.overlay.redirect": b"/etc", "user.note": b"kept"}),
        directory("d", xattrs={"trusted.overlay.opaque": b"y"}),
    )
    assert os.listxattr(layer / "f") == ["user.note"]
    assert os.listxattr(layer / "d") == []


names = st.lists(
    st.sampled_from(["a", "b", "l", "..", ".", "", ".wh.a", ".wh.l", ".wh..wh..opq", "@OUT@"]),
    min_size=1,
    max_size=5,
)
paths = st.builds(lambda parts, absolute: ("/" if absolute else "") + "/".join(parts), names, st.booleans())
members = st.lists(
    st.builds(
        lambda kind, name, target: (kind, name, target),
        st.sampled_from(
            [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
        ),
        paths,
        paths,
    ),
    max_size=8,
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(entries=members, tolerant=st.booleans())
def test_whatever_the_names_nothing_outside_changes(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[bytes, str, str]], tolerant: bool
) -> None:
    top = tmp_path_factory.mktemp("p")
    out = outside(top)
    (top / "layer").mkdir()
    before = {p: e for p, e in tree(top, times=True).items() if not p.startswith("layer")}
    made = []
    for kind, name, target in entries:
        name, target = (text.replace("@OUT@", str(out)) for text in (name, target))
        if name.strip("/."):
            made.append(
                member(
                    name,
                    b"evil" if kind == tarfile.REGTYPE else b"",
                    kind=kind,
                    link=target or "a",
                    mode=0o755,
                )
            )
    # One archive per entry lets the later ones run although an earlier one was refused.
    for group in [[m] for m in made] if tolerant else [made]:
        try:
            unpack(top / "layer", *group)
        except ImageError:
            pass
    assert {p: e for p, e in tree(top, times=True).items() if not p.startswith("layer")} == before
