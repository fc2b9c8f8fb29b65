"""The rehearsal of a start changes nothing of the process that plays it, nor of the machine."""

from __future__ import annotations

import os
from pathlib import Path

from minipod.linux import mount, namespaces
from minipod.runtime import dry_start
from tests.kernel.linux.test_wrappers import in_child


def test_everything_is_as_it_was_afterwards(workdir: Path) -> None:
    def observed() -> tuple[object, ...]:
        umask = os.umask(0)
        os.umask(umask)
        fds = [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
        places = (os.getcwd(), os.stat("/").st_ino, os.readlink("/proc/self/root"))
        return umask, fds, places, os.readlink("/proc/self/ns/mnt"), Path("/proc/self/mountinfo").read_text()

    def body() -> str:
        os.chdir(workdir)
        os.umask(0o027)
        before = observed()
        dry_start.rehearse(workdir / "scratch", 3)
        after = observed()
        return "the same" if before == after else f"{before}\n{after}"

    assert in_child(body) == "the same"
    assert list(workdir.iterdir()) == []


def test_in_a_changed_root_it_stays_there(workdir: Path) -> None:
    def body() -> str:
        namespaces.unshare(namespaces.CLONE_NEWNS)
        mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
        mount.mount(str(workdir), str(workdir), None, mount.MS_BIND)
        for name in ("proc", "dev", "sys"):
            (workdir / name).mkdir()
            mount.mount(f"/{name}", str(workdir / name), None, mount.MS_BIND | mount.MS_REC)
        (workdir / "here").mkdir()
        os.chroot(workdir)
        os.chdir("/here")
        dry_start.rehearse(Path("/scratch"), 1)
        return f"{os.getcwd()} {sorted(os.listdir('/'))}"

    assert in_child(body) == "/here ['dev', 'here', 'proc', 'sys']"
