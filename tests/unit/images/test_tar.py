"""The tar reader against archives made by Python's tarfile and GNU tar, and against damaged ones."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.images.errors import ImageError, InvalidImageError, UnsupportedImageError
from minipod.images.tar import TarReader
from minipod.images.tar_header import EntryType, TarEntry, number
from tests.unit.images.archives import directory, hardlink, member, symlink, tar


def read_all(data: bytes) -> list[tuple[TarEntry, bytes]]:
    reader = TarReader(io.BytesIO(data))
    found = []
    while (entry := reader.next()) is not None:
        found.append((entry, read_content(reader, entry)))
    return found


def read_content(reader: TarReader, entry: TarEntry) -> bytes:
    content = bytearray(entry.size)
    for offset, length in entry.extents:
        while length:
            piece = reader.read(min(length, 1000))
            content[offset : offset + len(piece)] = piece
            offset, length = offset + len(piece), length - len(piece)
    assert reader.read(1) == b""
    return bytes(content)


@pytest.mark.parametrize("style", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_and_type(style: int) -> None:
    deep = "deep/" * 30 + "name"  # beyond the 100 bytes of the name field, within ustar's prefix
    made = tar(
        directory("d/", 0o1777),
        member("d/file", b"x" * 1300, mode=0o4755, owner=(1, 2)),
        symlink("d/link", "../elsewhere"),
        hardlink("d/hard", "d/file"),
        member("fifo", kind=tarfile.FIFOTYPE),
        member("null", kind=tarfile.CHRTYPE, device=(1, 3)),
        member("disk", kind=tarfile.BLKTYPE, device=(8, 1)),
        member(deep, b"deep"),
        style=style,
    )
    entries = read_all(made)
    assert [(e.name.rstrip(b"/").decode(), e.type) for e, _ in entries] == [
        ("d", EntryType.DIRECTORY),
        ("d/file", EntryType.FILE),
        ("d/link", EntryType.SYMLINK),
        ("d/hard", EntryType.HARDLINK),
        ("fifo", EntryType.FIFO),
        ("null", EntryType.CHARACTER),
        ("disk", EntryType.BLOCK),
        (deep, EntryType.FILE),
    ]
    file, content = entries[1]
    assert (file.mode, file.uid, file.gid, file.size, content) == (0o4755, 1, 2, 1300, b"x" * 1300)
    assert entries[2][0].link == b"../elsewhere"
    assert entries[3][0].link == b"d/file"
    assert entries[5][0].device == (1, 3)
    assert entries[6][0].device == (8, 1)
    assert entries[7][1] == b"deep"


@pytest.mark.parametrize("style", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_does_not_fit_the_header(style: int) -> None:
    name, target = "n" * 3000, "t" * 3000
    (entry, _), (link, _) = read_all(
        tar(member(name, owner=(2**31, 2**31 + 1), mtime=2**34), symlink("l", target), style=style)
    )
    assert entry.name.decode() == name
    assert (entry.uid, entry.gid, entry.mtime_ns) == (2**31, 2**31 + 1, 2**34 * 10**9)
    assert link.link.decode() == target


def test_pax_times_and_xattrs() -> None:
    capability = bytes([1, 0, 0, 2, 0, 4, 0, 0] + [0] * 12)
    made = member("f", mtime=-1.5, xattrs={"user.a": b"x=y", "security.capability": capability})
    ((entry, _),) = read_all(tar(made))
    assert entry.mtime_ns == -1_500_000_000
    assert entry.xattrs == {b"user.a": b"x=y", b"security.capability": capability}


def test_extended_headers_hold_for_one_member_only() -> None:
    entries = read_all(tar(member("x" * 200, xattrs={"user.a": b"1"}), member("b")))
    assert [(e.name, dict(e.xattrs)) for e, _ in entries] == [
        (b"x" * 200, {b"user.a": b"1"}),
        (b"b", {}),
    ]


@pytest.mark.parametrize(
    "flags", [["--format=gnu"], *(["--format=pax", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0"))]
)
def test_sparse_files_of_gnu_tar(tmp_path: Path, flags: list[str]) -> None:
    with (tmp_path / "holes").open("wb") as file:
        for i in range(30):  # more pieces than one header holds
            file.seek(i * 65536)
            file.write(b"%d" % i)
        file.truncate(40 * 65536)
    (tmp_path / "after").write_bytes(b"next")
    made = subprocess.run(
        ["tar", "-C", tmp_path, "--sparse", *flags, "-c", "holes", "after"], capture_output=True, check=True
    ).stdout
    (holes, content), (after, next_content) = read_all(made)
    assert (holes.name, holes.size) == (b"holes", 40 * 65536)
    assert content == (tmp_path / "holes").read_bytes()
    assert len(holes.extents) >= 30
    assert (after.name, next_content) == (b"after", b"next")


def test_an_old_directory_is_told_by_its_slash() -> None:
    ((entry, _),) = read_all(tar(member("old/", kind=tarfile.AREGTYPE)))
    assert entry.type is EntryType.DIRECTORY


def test_the_end_marker_is_noticed() -> None:
    whole = tar(member("a", b"1"))
    for data, marked in [(whole, True), (whole[:1024], False)]:
        reader = TarReader(io.BytesIO(data))
        assert reader.next()
        assert reader.next() is None
        assert reader.marked_end is marked


@pytest.mark.parametrize("data", [b"\x7fELF", b"x" * 511, b"root:x:0:0\n" * 100])
def test_what_is_no_archive_is_called_so(data: bytes) -> None:
    with pytest.raises(InvalidImageError, match="not a tar archive"):
        read_all(data)


@pytest.mark.parametrize("end", [513, 700, 1023 + 512, 1300])
def test_a_truncated_archive_is_an_error(end: int) -> None:
    whole = tar(member("a", b"1" * 600), member("b", b"2"))
    with pytest.raises(InvalidImageError, match="truncated"):
        read_all(whole[:end])


def test_a_damaged_header_in_mid_archive_is_an_error() -> None:
    whole = bytearray(tar(member("a"), member("b"), member("c")))
    whole[512] ^= 1
    with pytest.raises(InvalidImageError, match="checksum"):
        read_all(bytes(whole))


def test_a_header_that_announces_nothing_is_an_error() -> None:
    whole = tar(member("x" * 200))
    with pytest.raises(InvalidImageError, match="ends after a member's extended header"):
        read_all(whole[:1024] + bytes(1024))


def test_a_huge_extended_header_is_refused_before_it_is_read() -> None:
    bomb = tarfile.TarInfo("pax")
    bomb.type, bomb.size = tarfile.XHDTYPE, 8 * 1024**3 - 1
    with pytest.raises(InvalidImageError, match="claims 8589934591 bytes"):
        read_all(bomb.tobuf(tarfile.USTAR_FORMAT))


@pytest.mark.parametrize(
    "records",
    [
        b"x path=a\n",
        b"0 path=a\n",
        b"9 path=a",
        b"99 path=a\n",
        b"9 path:a\n",
        b"6 =aa\n",
        b"-9 path=a\n",
        b"9" * 30,
    ],
)
def test_bad_pax_records(records: bytes) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    data = header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0")
    with pytest.raises(InvalidImageError, match="pax header"):
        read_all(data + tar(member("a")))


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(UnsupportedImageError, match="'v' has the unknown tar type 'V'"):
        read_all(tar(member("v", kind=b"V")))


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"\0" * 8, 0),
        (b"\x80\0\0\0\0\0\x01\0", 256),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", -1),
    ],
)
def test_numbers(raw: bytes, value: int) -> None:
    assert number(raw, "mtime") == value


@pytest.mark.parametrize(
    "raw", [b"0o644\0\0\0", b"+644\0\0\0\0", b"6_4\0\0\0\0\0", b"999\0\0\0\0\0", b"-1\0\0\0\0\0\0"]
)
def test_what_is_no_octal_number_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidImageError, match=r"size .* expected octal digits"):
        number(raw, "size")


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(InvalidImageError, match="negative size"):
        number(b"\xff" * 12, "size")


GNU_SPARSE = tar(member("s", b"data" * 200, kind=b"S"), style=tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("pairs", "size"),
    [([(0, 100)], 1000), ([(0, 400), (300, 400)], 1000), ([(400, 400), (0, 400)], 1000), ([(0, 800)], 10)],
)
def test_lying_sparse_maps_are_refused(pairs: list[tuple[int, int]], size: int) -> None:
    header = bytearray(GNU_SPARSE[:512])
    for i, (offset, length) in enumerate(pairs):
        header[386 + 24 * i : 386 + 24 * i + 24] = b"%011o\0%011o\0" % (offset, length)
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(InvalidImageError, match="sparse map"):
        read_all(bytes(header) + GNU_SPARSE[512:])


@settings(max_examples=120)
@given(st.data())
def test_a_flipped_byte_never_escapes_as_another_exception(data: st.DataObject) -> None:
    whole = bytearray(
        tar(member("a" * 150, b"1" * 600, xattrs={"user.k": b"v"}), symlink("l", "a"), directory("d"))
    )
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
        block = at - at % 512
        if data.draw(st.booleans()):  # a checksum that fits lets the damage reach what lies behind it
            whole[block + 148 : block + 156] = b" " * 8
            whole[block + 148 : block + 156] = b"%06o\0 " % sum(whole[block : block + 512])
    try:
        reader = TarReader(io.BytesIO(bytes(whole)))
        while reader.next() is not None:
            pass
    except ImageError:
        pass
