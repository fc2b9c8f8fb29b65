"""Volumes on a real file system: who owns what, and what a hostile container cannot make of it."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from minipod.api.core_v1 import HostPathVolumeSource
from minipod.kubelet.volumes.host_path import check_host_path
from minipod.kubelet.volumes.manager import set_up_volumes
from minipod.kubelet.volumes.ownership import give_to_group
from minipod.kubelet.volumes.types import VolumeError
from minipod.linux.tree import remove_tree
from tests.unit.kubelet.pods import container, pod, settings

GROUP = 54321


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# -- emptyDir ------------------------------------------------------------------------------------------------------


def volume_pod(source: dict[str, Any], **spec: Any) -> Any:
    mounts = [{"name": "v", "mountPath": "/v"}]
    return pod(container(volumeMounts=mounts), volumes=[{"name": "v", **source}], **spec)


def test_an_empty_dir_is_for_everyone_in_the_pod_and_nobody_else(workdir: Path) -> None:
    pod_dir = workdir / "pods" / "uid"
    old = os.umask(0o077)
    try:
        found = set_up_volumes(volume_pod({"emptyDir": {}}), pod_dir, settings())
    finally:
        os.umask(old)
    path = found.mounted["v"].path
    assert path == pod_dir / "volumes/kubernetes.io~empty-dir/v"
    assert mode(path) == 0o777
    assert mode(path.parent) & 0o007 == 0


def test_an_empty_dir_with_a_group(workdir: Path) -> None:
    made = volume_pod({"emptyDir": {}}, securityContext={"fsGroup": GROUP})
    path = set_up_volumes(made, workdir, settings()).mounted["v"].path
    assert mode(path) == 0o2777
    assert path.stat().st_gid == GROUP


def test_what_is_in_a_volume_stays_when_it_is_set_up_again(workdir: Path) -> None:
    path = set_up_volumes(volume_pod({"emptyDir": {}}), workdir, settings()).mounted["v"].path
    (path / "data").write_text("kept")
    half = path.with_name(".v.new")
    half.mkdir()  # a daemon died half-way through another time
    assert set_up_volumes(volume_pod({"emptyDir": {}}), workdir, settings()).mounted["v"].path == path
    assert (path / "data").read_text() == "kept"


def test_a_half_made_directory_is_finished(workdir: Path) -> None:
    half = workdir / "volumes/kubernetes.io~empty-dir/.v.new"
    half.mkdir(parents=True, mode=0o700)
    path = set_up_volumes(volume_pod({"emptyDir": {}}), workdir, settings()).mounted["v"].path
    assert mode(path) == 0o777
    assert not half.exists()


def test_volumes_that_are_not_mounted_are_not_set_up(workdir: Path) -> None:
    made = pod(volumes=[{"name": "v", "hostPath": {"path": "/nowhere", "type": "Directory"}}])
    assert set_up_volumes(made, workdir, settings()).mounted == {}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"configMap": {"name": "c"}}, "volume type configMap is not supported"),
        ({"emptyDir": {"medium": "HugePages"}}, 'medium "HugePages" is not supported'),
        ({"hostPath": {"path": "/nowhere", "type": "Directory"}}, "/nowhere is not a directory"),
    ],
)
def test_what_cannot_be_set_up_names_the_volume(workdir: Path, source: dict[str, Any], words: str) -> None:
    with pytest.raises(VolumeError) as caught:
        set_up_volumes(volume_pod(source), workdir, settings())
    assert str(caught.value).startswith('MountVolume.SetUp failed for volume "v" : ')
    assert words in str(caught.value)


# -- hostPath ------------------------------------------------------------------------------------------------------


def make(kind: str, path: Path) -> None:
    match kind:
        case "dir":
            path.mkdir()
        case "file":
            path.touch()
        case "socket":
            import socket

            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(str(path))
        case "char":
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        case "block":
            os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 0))
        case "link":
            (path.parent / "target").mkdir()
            path.symlink_to("target")


@pytest.mark.parametrize(
    ("type_", "there", "problem"),
    [
        ("", "", None),
        ("", "file", None),
        ("Directory", "dir", None),
        ("Directory", "link", None),
        ("Directory", "", "a directory"),
        ("Directory", "file", "a directory"),
        ("DirectoryOrCreate", "", None),
        ("DirectoryOrCreate", "file", "a directory"),
        ("File", "file", None),
        ("File", "", "a file"),
        ("File", "dir", "a file"),
        ("FileOrCreate", "", None),
        ("FileOrCreate", "dir", "a file"),
        ("Socket", "socket", None),
        ("Socket", "file", "a socket file"),
        ("CharDevice", "char", None),
        ("CharDevice", "block", "a character device"),
        ("BlockDevice", "block", None),
        ("BlockDevice", "char", "a block device"),
    ],
)
def test_host_path_types(workdir: Path, type_: str, there: str, problem: str | None) -> None:
    path = workdir / "it"
    make(there, path)
    found = check_host_path(HostPathVolumeSource(path=str(path), type=type_ or None))
    assert found == (problem and f"hostPath type check failed: {path} is not {problem}")
    if type_.endswith("OrCreate") and not there:
        assert mode(path) == (0o755 if type_.startswith("Dir") else 0o644)


def test_a_file_whose_directory_is_missing_names_the_path(workdir: Path) -> None:
    path = workdir / "no" / "file"
    found = check_host_path(HostPathVolumeSource(path=str(path), type="FileOrCreate"))
    assert found is not None
    assert str(path) in found
    assert "No such file" in found


# -- fsGroup -------------------------------------------------------------------------------------------------------


def tree(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "file").touch(mode=0o600)
    (root / "a" / "b" / "program").touch(mode=0o700)
    (root / "a" / "b" / "program").chmod(0o4711)


def test_everything_belongs_to_the_group_afterwards(workdir: Path) -> None:
    root = workdir / "v"
    tree(root)
    give_to_group(root, GROUP)
    found = [root, *root.rglob("*")]
    assert {p.stat().st_gid for p in found} == {GROUP}
    assert all(mode(p) & 0o2770 == 0o2770 for p in found if p.is_dir())
    assert mode(root / "a" / "file") == 0o660
    assert mode(root / "a" / "b" / "program") == 0o4771  # setuid survives, as with the kubelet


def test_symlinks_change_themselves_and_nothing_outside(workdir: Path) -> None:
    outside = workdir / "outside"
    outside.mkdir(mode=0o700)
    (outside / "secret").touch(mode=0o600)
    root = workdir / "v"
    root.mkdir()
    (root / "file").symlink_to(outside / "secret")
    (root / "dir").symlink_to(outside)
    (root / "up").symlink_to("..")
    give_to_group(root, GROUP)
    assert (outside / "secret").stat().st_gid != GROUP
    assert mode(outside / "secret") == 0o600
    assert outside.stat().st_gid != GROUP
    assert workdir.stat().st_gid != GROUP
    assert (root / "file").lstat().st_gid == GROUP


def test_special_files_are_not_opened(workdir: Path) -> None:
    root = workdir / "v"
    root.mkdir()
    os.mkfifo(root / "fifo", 0o600)
    make("char", root / "char")
    give_to_group(root, GROUP)  # opening the FIFO would wait for ever
    assert (root / "fifo").stat().st_gid == GROUP
    assert (root / "char").stat().st_gid == GROUP


def test_on_root_mismatch_walks_only_when_the_root_is_wrong(workdir: Path) -> None:
    root = workdir / "v"
    tree(root)
    give_to_group(root, GROUP, only_on_root_mismatch=True)
    assert (root / "a" / "file").stat().st_gid == GROUP
    os.chown(root / "a" / "file", 0, 0)
    give_to_group(root, GROUP, only_on_root_mismatch=True)
    assert (root / "a" / "file").stat().st_gid == 0
    root.chmod(0o750)
    give_to_group(root, GROUP, only_on_root_mismatch=True)
    assert (root / "a" / "file").stat().st_gid == GROUP


def test_a_tree_deeper_than_any_path(workdir: Path) -> None:
    root = workdir / "v"
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d" * 10, dir_fd=fd)
        child = os.open("d" * 10, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = child
    give_to_group(root, GROUP)
    assert os.fstat(fd).st_gid == GROUP
    os.close(fd)
    remove_tree(root)


def test_a_race_for_symlinks_changes_nothing_outside(workdir: Path) -> None:
    """Somebody swaps directories and files for links to the outside while the walk is on."""
    outside = workdir / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "secret").touch(mode=0o600)
    (outside / "secret").touch(mode=0o600)
    root = workdir / "v"
    for number in range(20):
        tree(root / str(number))
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for number in range(20):
                victim, aside = root / str(number), workdir / "aside"
                for path, target in ((victim, outside), (victim / "a" / "file", outside / "secret")):
                    try:
                        path.rename(aside)
                        path.symlink_to(target)
                        path.unlink()
                        aside.rename(path)
                    except OSError:
                        continue

    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        for _ in range(40):
            try:
                give_to_group(root, GROUP)
            except OSError:
                continue  # it may give up, it may not go astray
    finally:
        done.set()
        attacker.join()
    for path in (outside, outside / "secret", outside / "deep", outside / "deep" / "secret"):
        assert path.stat().st_gid != GROUP
        assert mode(path) & 0o2000 == 0
