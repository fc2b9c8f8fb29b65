from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from minipod.runtime.errors import RuntimeServiceError
from minipod.runtime.state import (
    ContainerRecord,
    ProcessIdentity,
    SandboxRecord,
    StateDirectory,
    check_cgroup,
    check_name,
    identify,
    is_alive,
    sandbox_status,
)
from minipod.runtime.types import SandboxState
from tests.unit.runtime.test_wire import CONTAINER, SANDBOX, STATUS

RECORD = SandboxRecord(
    config=SANDBOX,
    cgroup=Path("/sys/fs/cgroup/minipod/u-1"),
    created_at=1,
    state=SandboxState.READY,
    shim=ProcessIdentity(2, 20),
    infra=ProcessIdentity(3, 30),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "pods" / "u-1")
    state.make()
    assert state.path.stat().st_mode & 0o777 == 0o700
    state.write_sandbox(RECORD)
    records = [ContainerRecord(status, CONTAINER.rootfs) for status in STATUS.containers]
    for record in reversed(records):
        state.write_container(record)
    assert state.read_sandbox() == RECORD
    assert state.read_containers() == {r.status.id: r for r in records}
    state.remove_container("c1")
    state.remove_container("c1")
    assert list(state.read_containers()) == ["c2"]
    assert all(p.stat().st_mode & 0o077 == 0 for p in state.path.iterdir())
    expected = replace(STATUS, labels=SANDBOX.labels, resources=SANDBOX.resources)
    assert sandbox_status(RECORD, STATUS.containers) == expected


def test_containers_come_oldest_first(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    for name, created in (("b", 3), ("c", 1), ("a", 2)):
        status = replace(STATUS.containers[0], id=name, created_at=created)
        state.write_container(ContainerRecord(status, CONTAINER.rootfs))
    assert list(state.read_containers()) == ["c", "a", "b"]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"config":1}'])
def test_a_broken_record_is_no_record(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sandbox.json").write_bytes(content)
    (tmp_path / "container-x.json").write_bytes(content)
    assert StateDirectory(tmp_path).read_sandbox() is None
    assert StateDirectory(tmp_path).read_containers() == {}


def test_a_failed_write_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateDirectory(tmp_path)
    state.write_sandbox(RECORD)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="No space"):
        state.write_sandbox(replace(RECORD, state=SandboxState.NOT_READY))
    assert state.read_sandbox() == RECORD


def test_a_process_is_known_by_pid_and_start_time() -> None:
    mine = identify(os.getpid())
    assert is_alive(mine)
    assert not is_alive(ProcessIdentity(mine.pid, mine.start_time + 1))
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    assert not is_alive(ProcessIdentity(pid, mine.start_time))


@pytest.mark.parametrize("name", ["a", "0f8b2c1e-77aa-4c55-9d9c-8a2f6f0c1d2e", "a.b_c-d", "x" * 128])
def test_names_that_may_be_files(name: str) -> None:
    assert check_name("uid", name) == name


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "a/b", "a\0", "a\n", "-a", "ä", "x" * 129])
def test_names_that_may_not(name: str) -> None:
    with pytest.raises(RuntimeServiceError, match="uid"):
        check_name("uid", name)


@pytest.mark.parametrize("name", ["", "/", "/a", "a/", "a//b", "..", "a/../b", "."])
def test_a_cgroup_is_below_the_mount(name: str) -> None:
    with pytest.raises(RuntimeServiceError, match="relative path"):
        check_cgroup(name)
    check_cgroup("minipod/burstable/pod1")
