"""The cgroup v2 hierarchy: finding it, making and removing groups, and what every group has without controllers.

A group is its directory, a Path. Everything is plain file access, so an OSError names the file; where the kernel's
bare errno would puzzle (ENOENT for a controller that is not there), the message says what is missing.
See https://docs.kernel.org/admin-guide/cgroup-v2.html.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")


def mount_point(mountinfo: Path = MOUNTINFO) -> Path:
    """Where cgroup2 is mounted: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a hybrid host.

    Raises FileNotFoundError when it is mounted nowhere.
    """
    for line in mountinfo.read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.startswith("cgroup2 ") and fields.split()[3] == "/":
            return Path(_unescape(fields.split()[4]))
    raise FileNotFoundError(errno.ENOENT, "cgroup2 is not mounted (mount -t cgroup2 none /sys/fs/cgroup)")


def controllers(group: Path) -> frozenset[str]:
    """The controllers this group may hand to its children."""
    return frozenset(read(group, "cgroup.controllers").split())


def create(root: Path, name: str, enable: Iterable[str] = ()) -> Path:
    """Make the group `name` (a relative path) below `root`, level by level, and return it; existing levels are kept.

    Each of the controllers in `enable` works in the new group: it is switched on in every level above it. Raises
    OSError(ENODEV) naming a controller that a level does not have, ValueError for a name that leaves `root`.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"not a cgroup name: {name!r}")
    wanted = frozenset(enable)
    group = root
    for part in parts:
        if wanted:
            enable_controllers(group, wanted)
        group = group / part
        try:
            group.mkdir()
        except FileExistsError:
            pass
    return group


def enable_controllers(group: Path, wanted: Iterable[str]) -> None:
    """Let `group`'s children use these controllers (cgroup.subtree_control); what is on already stays untouched."""
    missing = frozenset(wanted) - frozenset(read(group, "cgroup.subtree_control").split())
    if not missing:
        return
    if absent := missing - controllers(group):
        raise OSError(
            errno.ENODEV,
            f"cgroup v2 controller not available here: {', '.join(sorted(absent))}",
            str(group / "cgroup.controllers"),
        )
    try:
        write(group, "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(missing)))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        raise OSError(
            errno.EBUSY,
            "cannot hand out controllers while processes are in this group (cgroup v2's no-internal-process rule)",
            str(group),
        ) from error


def read(group: Path, name: str) -> str:
    """A file of the group, without the final newline."""
    return (group / name).read_text().rstrip("\n")


def write(group: Path, name: str, value: str) -> None:
    """Set a file of the group. One write(2) per line: the kernel takes each whole or not at all.

    Files with an entry per device or page size (io.max) take one entry at a time; all others have one line.
    """
    try:
        fd = os.open(group / name, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        if not group.exists():
            raise
        raise FileNotFoundError(errno.ENOENT, _why_absent(group, name), str(group / name)) from error
    try:
        for line in value.split("\n"):
            os.write(fd, line.encode())
    except OSError as error:
        raise OSError(
            error.errno, f"writing {value!r}: {os.strerror(error.errno or 0)}", str(group / name)
        ) from error
    finally:
        os.close(fd)


def _why_absent(group: Path, name: str) -> str:
    controller = name.partition(".")[0]
    if controller in controllers(group):
        return f"this kernel's {controller} controller has no such file"
    return f"the cgroup v2 controller {controller} is not on in this group"


def apply(group: Path, files: Mapping[str, str]) -> None:
    """Write several files in the order given, e.g. {"memory.max": "1048576"}."""
    for name, value in files.items():
        write(group, name, value)


def label(group: Path, name: str, value: str) -> None:
    """Name what a group is for, where systemd-cgls shows it: an extended attribute `user.<name>`. A nicety, no more.

    Where the kernel has none on cgroups (before Linux 5.7), or no room for it, nothing happens.
    """
    try:
        os.setxattr(group, f"user.{name}", value.encode())
    except OSError:
        pass


def directory_fd(group: Path) -> int:
    """A descriptor for CLONE_INTO_CGROUP, close-on-exec."""
    return os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def processes(group: Path) -> list[int]:
    """Pids in this very group, in the caller's pid namespace (0 for those it cannot see)."""
    return [int(pid) for pid in read(group, "cgroup.procs").split()]


def add_process(group: Path, pid: int) -> None:
    write(group, "cgroup.procs", str(pid))


def kill(group: Path) -> None:
    """SIGKILL every process in the group and below it, also those being forked meanwhile (cgroup.kill, Linux 5.14)."""
    write(group, "cgroup.kill", "1")


def freeze(group: Path, *, frozen: bool) -> None:
    """Ask for freezing or thawing; `events(group)["frozen"]` tells when it is done."""
    write(group, "cgroup.freeze", "1" if frozen else "0")


def events(group: Path) -> dict[str, int]:
    """cgroup.events: `populated` (a live process is in it or below) and `frozen`."""
    return flat_keyed(read(group, "cgroup.events"))


def flat_keyed(text: str) -> dict[str, int]:
    """The format of cgroup.events, memory.events, cpu.stat: one `key number` per line."""
    return {
        key: int(value) for key, _, value in (line.partition(" ") for line in text.splitlines()) if value
    }


def wait_for_event(group: Path, key: str, value: int, timeout: float) -> bool:
    """Block until cgroup.events says `key` is `value`; False when `timeout` seconds passed first.

    The kernel signals a change of the file as POLLPRI, so nothing is polled in between.
    """
    deadline = time.monotonic() + timeout
    fd = os.open(group / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    try:
        poller = select.poll()
        poller.register(fd, select.POLLPRI)
        while flat_keyed(os.pread(fd, 4096, 0).decode()).get(key) != value:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poller.poll(left * 1000)
        return True
    finally:
        os.close(fd)


def remove(group: Path, timeout: float = 5.0) -> None:
    """Remove the group and all below it, once its last process is gone; a group that is not there is fine.

    Nothing is killed here. Raises TimeoutError when processes are still in it after `timeout` seconds.
    """
    try:
        if not wait_for_event(group, "populated", 0, timeout):
            raise TimeoutError(errno.ETIMEDOUT, f"still populated after {timeout:g} s", str(group))
        _remove_tree(group)
    except OSError as error:
        # A file of a group that vanishes between open and read says ENODEV.
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise


def remove_empty(group: Path) -> bool:
    """Remove the group and all below it at once, as far as no process is there; whether it is gone.

    Kills nothing and waits for nothing. Raises OSError for anything but a process in the way.
    """
    if _remove_one(group):
        return True
    below = _below(group)
    for child in reversed(below):
        _remove_one(child)
    return bool(below) and _remove_one(group)


def _remove_one(group: Path) -> bool:
    try:
        os.rmdir(group)
    except FileNotFoundError:
        pass
    except OSError as error:
        # EBUSY: processes, or groups below. ENOTEMPTY: the same of a plain directory that stands in for a group.
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise
        return False
    return True


def _remove_tree(group: Path) -> None:
    for child in reversed(_below(group)):
        child.rmdir()
    group.rmdir()


def _below(group: Path) -> list[Path]:
    """All groups below, parents first. Without recursion: who may make groups chooses how deep."""
    found: list[Path] = []
    waiting = [group]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                children = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
            continue
        found += children
        waiting += children
    return found


def _unescape(field: str) -> str:
    """Undo mountinfo's octal escapes for space, tab, newline and backslash."""
    if "\\" not in field:
        return field
    head, *rest = field.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)
