"""OCI mounts and namespaces as plans: from documents to values, no kernel involved."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.linux import mount as m
from minipod.linux.namespaces import CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID
from minipod.runtime import mounts, namespace_plan, rootfs
from minipod.runtime.mount_options import MountOptions, parse


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], MountOptions()),
        (["ro", "nosuid", "nodev"], MountOptions(attr_set=m.MOUNT_ATTR_RDONLY | 2 | 4)),
        (["ro", "rw"], MountOptions(attr_clr=m.MOUNT_ATTR_RDONLY)),
        (["exec", "noexec"], MountOptions(attr_set=m.MOUNT_ATTR_NOEXEC)),
        (
            ["rbind", "rprivate"],
            MountOptions(propagation=m.MS_PRIVATE, propagate_below=True, bind=True, recursive_bind=True),
        ),
        (["bind", "slave"], MountOptions(propagation=m.MS_SLAVE, bind=True)),
        (["rshared", "private"], MountOptions(propagation=m.MS_PRIVATE)),
        (["rro", "rnosuid"], MountOptions(recursive_set=m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOSUID)),
        (["noatime"], MountOptions(attr_set=m.MOUNT_ATTR_NOATIME, attr_clr=m.MOUNT_ATTR_ATIME)),
        (["noatime", "relatime"], MountOptions(attr_clr=m.MOUNT_ATTR_ATIME)),
        (
            ["mode=755", "size=1m", "newinstance", "defaults"],
            MountOptions(data="mode=755,size=1m,newinstance"),
        ),
    ],
)
def test_options_are_sorted_into_attributes_propagation_and_data(
    words: list[str], expected: MountOptions
) -> None:
    assert parse(words) == expected


def planned(entry: dict[str, Any], *, own_cgroup: bool = True) -> mounts.Mount:
    (found,) = mounts.plan([entry], own_cgroup=own_cgroup, cgroup_mount="/sys/fs/cgroup/unified")
    return found


def test_a_bind_is_known_by_its_option_whatever_its_type_says() -> None:
    found = planned({"destination": "/d", "type": "none", "source": "/s", "options": ["bind", "ro"]})
    assert (found.fstype, found.describe()) == ("bind", "mount /s to /d")


def test_cgroup_is_the_second_version_or_the_hosts_own_mount() -> None:
    entry = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}
    assert planned(entry).fstype == "cgroup2"
    shared = planned(entry, own_cgroup=False)
    assert (shared.fstype, shared.source) == ("bind", "/sys/fs/cgroup/unified")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"destination": "rel", "type": "tmpfs"}, "destination 'rel'"),
        ({"type": "tmpfs"}, "destination ''"),
        ({"destination": "/d", "source": "rel", "options": ["bind"]}, "source 'rel' of /d"),
    ],
)
def test_paths_that_are_not_absolute_are_named(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        planned(entry)


def test_overlay_paths_are_written_out_when_they_fit_and_are_plain() -> None:
    paths = ["/a", "/b", "/upper", "/work"]
    assert (
        rootfs.overlay_options(paths, [5, 6, 7, 8])
        == "lowerdir=/a:/b,upperdir=/upper,workdir=/work,index=off"
    )


@pytest.mark.parametrize("odd", ["/a:b", "/a,b", "/a\\b", "/" + "x" * 4090])
def test_descriptors_stand_in_for_names_that_overlayfs_would_misread(odd: str) -> None:
    options = rootfs.overlay_options([odd, "/upper", "/work"], [5, 6, 7])
    assert options == "lowerdir=/proc/self/fd/5,upperdir=/proc/self/fd/6,workdir=/proc/self/fd/7,index=off"


def test_hundreds_of_layers_fit_by_descriptor() -> None:
    paths = [f"/layers/{'f' * 64}/{n}" for n in range(200)] + ["/upper", "/work"]
    assert len(rootfs.overlay_options(paths, list(range(3, 3 + len(paths))))) < 4096


# -- namespaces --------------------------------------------------------------------------------------------------

MOUNT = {"type": "mount"}


def test_namespaces_are_new_joined_or_the_hosts() -> None:
    plan = namespace_plan.plan(
        [
            MOUNT,
            {"type": "pid"},
            {"type": "cgroup"},
            {"type": "network", "path": "/proc/77/ns/net"},
            {"type": "ipc", "path": "/run/ipc"},
        ],
        infra_pid=77,
    )
    assert plan.new == CLONE_NEWNS | CLONE_NEWPID
    assert plan.unshare == CLONE_NEWCGROUP
    assert plan.infra == CLONE_NEWNET
    assert plan.paths == ((CLONE_NEWIPC, "/run/ipc"),)
    assert plan.own == CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP | CLONE_NEWNET | CLONE_NEWIPC


@pytest.mark.parametrize("path", ["/proc/78/ns/net", "/proc/77/ns/ipc", "/proc/77/ns/net/"])
def test_only_the_infra_process_own_files_stand_for_its_pidfd(path: str) -> None:
    plan = namespace_plan.plan([MOUNT, {"type": "network", "path": path}], infra_pid=77)
    assert plan.infra == 0
    assert plan.paths == ((CLONE_NEWNET, path),)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "needs a new mount namespace"),
        ([{"type": "mount", "path": "/x"}], "needs a new mount namespace"),
        ([MOUNT, MOUNT], "mount is listed twice"),
        ([MOUNT, {"type": "user"}], "user is not supported"),
        ([MOUNT, {"type": "magic"}], "magic is not supported"),
    ],
)
def test_impossible_namespaces_are_named(entries: list[dict[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        namespace_plan.plan(entries, 0)
