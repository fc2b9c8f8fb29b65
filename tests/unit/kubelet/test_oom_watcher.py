"""What the kernel says of processes out of memory, and what users are told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from minipod.kubelet.oom_watcher import describe, describe_late, name_of, pod_of
from minipod.linux.kmsg import OomKill, kernel_message, oom_kill
from minipod.runtime.types import ContainerState, ContainerStatus, SandboxState, SandboxStatus
from tests.unit.kubelet.pods import pod

CONTAINER = "c" * 64
POD = "/minipod/burstable/pod6b1f0c2e-3f57"
HEAD = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0"
OURS = f"{HEAD},oom_memcg={POD}/{CONTAINER},task_memcg={POD}/{CONTAINER},task=tail,pid=812,uid=0"
SYSTEM = (
    "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
    "task_memcg=/user.slice,task=stress,pid=16713,uid=1000"
)


def test_the_kernels_summary_of_a_kill_is_read() -> None:
    assert oom_kill(OURS) == OomKill("tail", 812, f"{POD}/{CONTAINER}", f"{POD}/{CONTAINER}")
    assert oom_kill(SYSTEM) == OomKill("stress", 16713, "/user.slice", "")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Memory cgroup out of memory: Killed process 812 (tail) total-vm:1kB",
        f"{OURS} and more",
        f"audit: msg='{OURS}",
    ],
)
def test_other_lines_say_nothing(message: str) -> None:
    assert oom_kill(message) is None


def test_a_processs_name_cannot_pretend_to_be_fields() -> None:
    kill = oom_kill(OURS.replace("task=tail", "task=a,pid=1,uid=0"))
    assert kill is not None
    assert (kill.process, kill.pid) == ("a,pid=1,uid=0", 812)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("6,339,5140900,-;NET: Registered\n SUBSYSTEM=net\n", "NET: Registered"),
        (f"14,1,2,-;{SYSTEM}\n", None),  # facility 1: written by a process
        ("no record", None),
    ],
)
def test_only_what_the_kernel_wrote_itself_counts(record: str, message: str | None) -> None:
    assert kernel_message(record) == message


@pytest.mark.parametrize(
    ("group", "parent", "expected"),
    [
        (f"{POD}/{CONTAINER}/minipod-exec-1", "minipod", ("6b1f0c2e-3f57", CONTAINER)),
        (POD, "minipod", ("6b1f0c2e-3f57", "")),
        (f"{POD}/c/pod2/c", "minipod", ("6b1f0c2e-3f57", "c")),
        (POD, "other", ("", "")),
        ("/minipod", "minipod", ("", "")),
        ("/minipod/burstable", "minipod", ("", "")),
        ("/system.slice/ssh.service", "minipod", ("", "")),
        ("/outer/pods.slice/pods-all.slice/pod1/abc", "pods.slice/pods-all.slice", ("1", "abc")),
    ],
)
def test_a_group_belongs_to_a_pod(group: str, parent: str, expected: tuple[str, str]) -> None:
    assert pod_of(group, parent) == expected


def status(resources: dict[str, str]) -> ContainerStatus:
    return ContainerStatus(
        id=CONTAINER,
        name="main",
        attempt=0,
        state=ContainerState.RUNNING,
        created_at=0,
        log_path=Path("/log"),
        resources=resources,
    )


@pytest.mark.parametrize(
    ("limit", "resources", "expected"),
    [
        (
            f"{POD}/{CONTAINER}",
            {"memory.max": "16777216", "memory.oom.group": "1"},
            "the container's memory limit of 16Mi is reached; all of the container is killed with it",
        ),
        (
            f"{POD}/{CONTAINER}",
            {"memory.max": "16777216"},
            "the container's memory limit of 16Mi is reached",
        ),
        (POD, {}, "the pod's memory limit of 32Mi is reached"),
        ("/minipod", {}, "the memory limit of all pods together is reached"),
        ("", {}, "the machine has no memory left"),
    ],
)
def test_the_event_says_whose_limit_it_was(limit: str, resources: dict[str, str], expected: str) -> None:
    sandbox = SandboxStatus(
        uid="6b1f0c2e-3f57",
        name="web",
        namespace="default",
        attempt=0,
        state=SandboxState.READY,
        created_at=0,
        shim_pid=1,
        infra_pid=2,
        cgroup=POD.strip("/"),
        resources={"memory.max": str(32 << 20)},
    )
    kill = OomKill("tail", 812, f"{POD}/{CONTAINER}", limit)
    text = describe(kill, sandbox, status(resources))
    assert text.endswith(f"out of memory: killed process tail (pid 812): {expected}") or (
        not limit and text == f"Out of memory: killed process tail (pid 812): {expected}"
    )


def test_a_pod_that_has_ended_of_it_is_told_by_its_status() -> None:
    ended = pod(
        status={
            "containerStatuses": [{"name": "main", "containerID": f"minipod://{CONTAINER}", "image": "i"}]
        }
    )
    assert name_of(ended, CONTAINER) == "main"
    assert name_of(ended, "") == name_of(ended, "d" * 64) == ""
    kill = OomKill("tail", 812, f"{POD}/{CONTAINER}", f"{POD}/{CONTAINER}")
    assert describe_late(kill, CONTAINER) == (
        "Memory cgroup out of memory: killed process tail (pid 812): the container's memory limit is reached"
    )
