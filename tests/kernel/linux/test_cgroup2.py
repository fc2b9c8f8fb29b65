"""cgroup v2 on the real kernel: what every group can do without controllers, and with those that are there."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.linux import inotify
from minipod.linux.cgroup2 import cgroup, cpu
from tests.helpers.wait import wait_until


@pytest.fixture
def group(word: str) -> Iterator[Path]:
    made = cgroup.create(cgroup.mount_point(), word)
    yield made
    if made.exists():
        cgroup.kill(made)
        cgroup.remove(made)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "1000"])
    yield child
    child.kill()
    child.wait()


def test_levels_are_made_once_and_kept(group: Path) -> None:
    made = cgroup.create(group, "a/b/c")
    assert made == group / "a" / "b" / "c"
    assert cgroup.create(group, "a/b/c") == made
    assert (made / "cgroup.procs").exists()


def test_controllers_are_switched_on_all_the_way_down(group: Path) -> None:
    available = cgroup.controllers(group.parent)
    if not available:
        pytest.skip("this host's cgroup2 has no controller at all")
    made = cgroup.create(group.parent, f"{group.name}/a/b", available)
    assert cgroup.controllers(made) == available
    assert set(cgroup.read(group / "a", "cgroup.subtree_control").split()) == available


def test_a_controller_that_is_not_there_is_named(group: Path) -> None:
    with pytest.raises(OSError, match="not available here: magic") as caught:
        cgroup.create(group, "a", ["magic"])
    assert caught.value.errno == errno.ENODEV


def test_a_process_in_the_way_of_controllers_is_said_to_be_one(
    group: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    available = cgroup.controllers(group.parent)
    if not available:
        pytest.skip("this host's cgroup2 has no controller at all")
    cgroup.enable_controllers(group.parent, available)
    cgroup.add_process(group, sleeper.pid)
    with pytest.raises(OSError, match="no-internal-process rule"):
        cgroup.enable_controllers(group, available)


def test_processes_are_listed_and_killed_with_their_children(group: Path) -> None:
    child = subprocess.Popen(["sh", "-c", "sleep 1000 & sleep 1000 & wait"], start_new_session=True)
    cgroup.add_process(group, child.pid)
    assert child.pid in cgroup.processes(group)
    cgroup.kill(group)
    assert child.wait(timeout=10) == -signal.SIGKILL
    assert cgroup.wait_for_event(group, "populated", 0, timeout=10)


def test_a_frozen_group_stands_still_until_thawed(group: Path, sleeper: subprocess.Popen[bytes]) -> None:
    cgroup.add_process(group, sleeper.pid)
    cgroup.freeze(group, frozen=True)
    assert cgroup.wait_for_event(group, "frozen", 1, timeout=10)
    assert cgroup.events(group) == {"populated": 1, "frozen": 1}
    cgroup.freeze(group, frozen=False)
    assert cgroup.wait_for_event(group, "frozen", 0, timeout=10)


def test_waiting_for_an_event_ends_with_the_event_not_with_the_timeout(
    group: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    cgroup.add_process(group, sleeper.pid)
    assert not cgroup.wait_for_event(group, "populated", 0, timeout=0.01)
    killer = threading.Timer(0.1, cgroup.kill, [group])
    killer.start()
    started = time.monotonic()
    assert cgroup.wait_for_event(group, "populated", 0, timeout=60)
    assert time.monotonic() - started < 30
    killer.join()


def test_a_tree_is_removed_as_soon_as_it_is_empty(group: Path, sleeper: subprocess.Popen[bytes]) -> None:
    leaf = cgroup.create(group, "a/b")
    cgroup.create(group, "c")
    cgroup.add_process(leaf, sleeper.pid)
    with pytest.raises(TimeoutError, match="still populated"):
        cgroup.remove(group, timeout=0.01)
    threading.Timer(0.05, cgroup.kill, [group]).start()
    cgroup.remove(group, timeout=30)
    assert not group.exists()
    cgroup.remove(group)


def test_a_value_the_kernel_refuses_comes_back_with_file_and_value(group: Path) -> None:
    with pytest.raises(OSError, match=r"writing 'x'.*cgroup\.freeze"):
        cgroup.write(group, "cgroup.freeze", "x")


def test_cpu_time_is_counted_without_the_controller(group: Path) -> None:
    child = subprocess.Popen(
        ["sh", "-c", "read x; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"], stdin=subprocess.PIPE
    )
    cgroup.add_process(group, child.pid)
    child.communicate(b"go\n")
    used = cpu.stat(group)
    assert used.usage_us > 0
    assert used.usage_us >= used.user_us


def test_inotify_tells_of_a_change_of_events(group: Path, sleeper: subprocess.Popen[bytes]) -> None:
    fd = inotify.init()
    watch = inotify.add_watch(fd, group / "cgroup.events", inotify.IN_MODIFY)
    assert list(inotify.read_events(fd)) == []
    cgroup.add_process(group, sleeper.pid)
    assert select.select([fd], [], [], 10)[0]
    assert (watch, inotify.IN_MODIFY, "") in list(inotify.read_events(fd))
    inotify.remove_watch(fd, watch)
    os.close(fd)


def test_inotify_names_what_happens_in_a_directory(tmp_path: Path) -> None:
    fd = inotify.init()
    inotify.add_watch(fd, tmp_path, inotify.IN_CREATE | inotify.IN_MOVED_TO)
    (tmp_path / "one").touch()
    (tmp_path / "one").rename(tmp_path / "two")
    found = [(mask, name) for _watch, mask, name in inotify.read_events(fd)]
    assert found == [(inotify.IN_CREATE, "one"), (inotify.IN_MOVED_TO, "two")]
    os.close(fd)
    with pytest.raises(FileNotFoundError, match=r"inotify_add_watch\(/none, 0x2\)"):
        inotify.add_watch(inotify.init(), "/none", inotify.IN_MODIFY)


def test_a_process_of_another_pid_namespace_is_seen_from_here(group: Path) -> None:
    child = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "sleep", "1000"])
    cgroup.add_process(group, child.pid)
    wait_until(lambda: len(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()) == 1)
    cgroup.kill(group)
    child.wait(timeout=10)
