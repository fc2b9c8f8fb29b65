"""A pod fills the disk that everything of the daemon lies on: the daemon goes on, and all works once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.daemon import Daemon
from tests.helpers.wait import wait_until

MB = 1 << 20
GREEDY = (
    "while :; do cat /dev/zero >> /v/fill 2>/dev/null; dd if=/dev/zero bs=1024 of=/v/rest 2>/dev/null; "
    "[ -e /v/enough ] && break; sleep 0.05; done; sleep 1000"
)
"""Takes every block that becomes free, too; the last ones by small writes to another file: large ones leave some."""

FILLER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "filler"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "main",
                "image": "minipod/base",
                "command": ["sh", "-c", GREEDY],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            }
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
    },
}


@pytest.fixture
def disk(workdir: Path) -> Iterator[Path]:
    """200 MB of ext4, nothing of it kept for root."""
    image, mounted = workdir / "disk.img", workdir / "disk"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(200 * MB)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
    yield mounted
    subprocess.run(["umount", "-l", mounted], check=True)


@pytest.fixture
def daemon(workdir: Path, word: str, disk: Path) -> Iterator[Daemon]:
    """Nobody is evicted, so the disk stays full."""
    made = Daemon(
        workdir,
        word,
        data_dir=str(disk / "data"),
        log_dir=str(disk / "log"),
        eviction_hard="memory.available=1Mi",
    )
    try:
        made.start()
        made.import_base()
        yield made
    finally:
        made.end()


def test_a_daemon_on_a_full_disk_lives_answers_and_recovers(daemon: Daemon, disk: Path) -> None:
    daemon.apply(FILLER)
    daemon.wait_pod("filler")
    pid = daemon.pid
    wait_until(lambda: _full(disk), 30, "the disk to be full")
    assert daemon.pod("filler")["status"]["phase"] == "Running"
    assert daemon.out("get", "pods").count("filler") == 1
    assert daemon.out("exec", "filler", "--", "echo", "here") == "here\n"
    daemon.cli("exec", "filler", "--", "sh", "-c", "touch /v/enough; rm /v/fill")
    wait_until(lambda: not _full(disk), 30, "the disk to have room")
    daemon.cli("delete", "pod", "filler", "--wait")
    daemon.cli("run", "again", "--image", "minipod/base", "--", "sleep", "1000")
    daemon.wait_pod("again")
    assert daemon.pid == pid


def test_pods_can_be_deleted_on_a_full_disk_also_by_the_next_daemon(daemon: Daemon, disk: Path) -> None:
    daemon.apply(FILLER)
    daemon.wait_pod("filler")
    wait_until(lambda: _full(disk), 30, "the disk to be full")
    daemon.restart()
    daemon.cli("delete", "pod", "filler", "--wait")
    wait_until(lambda: not _full(disk), 30, "the disk to have room")
    daemon.cli("run", "again", "--image", "minipod/base", "--", "sleep", "1000")
    daemon.wait_pod("again")


def _full(disk: Path) -> bool:
    info = os.statvfs(disk)
    return info.f_bavail * info.f_frsize < 16384
