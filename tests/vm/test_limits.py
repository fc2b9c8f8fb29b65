"""Limits of real pods on the kernel's own files: every controller is there, and what it counts is asserted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from minipod.api import codec, core_v1
from minipod.api.scheme import PODS
from minipod.kubelet.containers.cgroups import cpu_weight
from minipod.kubelet.containers.limit_policy import LimitPolicy
from minipod.kubelet.settings import CgroupEnforcement
from minipod.linux.cgroup2 import cgroup
from tests.kernel.kubelet.conftest import base_images, make_node, netns
from tests.kernel.kubelet.node import FOREVER, Node, container, main_status

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]

__all__ = ["base_images", "make_node", "netns"]

MakeNode = Callable[..., Awaitable[Node]]

MI = 1 << 20
DISK = "/dev/vda"
GREEDY = "cat /dev/zero | tail"


@pytest.fixture
def workdir() -> Iterator[Path]:
    """On a tmpfs: overlayfs takes no directory of another overlay as upper layer."""
    path = Path(tempfile.mkdtemp(prefix="mpt", dir="/run"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def asking(requests: dict[str, str] | None = None, **limits: str) -> dict[str, Any]:
    """A container's fields."""
    return {"resources": {"limits": limits, **({"requests": requests} if requests is not None else {})}}


async def create(node: Node, name: str, *containers: dict[str, Any], notes: Any = None, **spec: Any) -> None:
    body = {
        "metadata": {"name": name, "namespace": "default", "annotations": notes or {}},
        "spec": {"nodeName": node.word, "containers": list(containers) or [container()], **spec},
    }
    await node.client.create(PODS, codec.from_builtins(core_v1.Pod, body))


async def groups(node: Node, name: str) -> tuple[Path, dict[str, Path]]:
    """The pod's group and those of its containers by name, once it is ready."""
    pod = await node.ready(name)
    sandbox = node.runtime.status(pod.metadata.uid or "")
    assert sandbox is not None
    group = node.settings().cgroup_root / sandbox.cgroup
    return group, {c.name: group / c.id for c in sandbox.containers}


def read(group: Path, *names: str) -> tuple[str, ...]:
    return tuple(cgroup.read(group, name) for name in names)


def count(group: Path, file: str, key: str) -> int:
    return cgroup.flat_keyed(cgroup.read(group, file)).get(key, 0)


@pytest.fixture
def huge_pages() -> Iterator[None]:
    path = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    path.write_text("4")
    yield
    path.write_text("0")


async def test_every_level_has_its_values(make_node: MakeNode, word: str, huge_pages: None) -> None:
    """Level by level, also below a parent of two levels, as a systemd slice with a unit is."""
    node = await make_node(
        cgroup_parent=f"{word}/unit",
        pod_pids_limit=64,
        system_reserved={"cpu": "500m", "memory": "256Mi", "pid": "1000"},
        limits=LimitPolicy(memory_qos=True),
    )
    root = node.settings().cgroup_root
    memory = {"requests": {"cpu": "100m", "memory": "16Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}
    same: dict[str, Any] = {"cpu": "250m", "memory": "32Mi"}
    await create(node, "some", container(resources=memory))
    await create(
        node,
        "exact",
        container(**asking(**{**same, "hugepages-2Mi": "4Mi"})),
        initContainers=[container(name="side", restartPolicy="Always", **asking(**same))],
    )
    await create(node, "nothing")
    level = {"requests": {"cpu": "50m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "48Mi"}}
    await create(node, "level", resources=level)

    parent = root / word / "unit"
    for above in (root / word, parent, parent / "burstable", parent / "besteffort"):
        handed_down = set(read(above, "cgroup.subtree_control")[0].split())
        assert {"cpu", "memory", "pids", "hugetlb"} <= handed_down
        assert "io" not in handed_down
    total = node.settings().host.memory_capacity
    cores = Fraction(node.settings().host.cpu_capacity_millis, 1000)
    assert abs(int(read(parent, "memory.max")[0]) - (total - 256 * MI)) < 4096
    assert read(parent, "cpu.weight") == (cpu_weight(cores - Fraction(1, 2)),)
    assert int(read(parent, "pids.max")[0]) < int(Path("/proc/sys/kernel/pid_max").read_text())

    pod, containers = await groups(node, "some")
    assert pod.parent == parent / "burstable"
    assert read(pod, "cpu.max", "memory.max", "memory.min", "pids.max") == (
        "20000 100000",
        str(64 * MI),
        str(16 * MI),
        "64",
    )
    names = ("cpu.max", "cpu.weight", "memory.max", "memory.min", "memory.swap.max", "memory.oom.group")
    assert read(containers["main"], *names) == ("20000 100000", "17", str(64 * MI), str(16 * MI), "0", "1")
    assert int(read(containers["main"], "memory.high")[0]) == int(59.2 * MI) // 4096 * 4096

    pod, containers = await groups(node, "exact")
    assert pod.parent == parent
    assert read(pod, "cpu.max", "memory.max") == ("50000 100000", str(64 * MI))
    assert read(pod, "hugetlb.2MB.max", "hugetlb.2MB.rsvd.max") == (str(4 * MI), str(4 * MI))
    assert read(containers["side"], "hugetlb.2MB.max", "cpu.max") == ("0", "25000 100000")
    assert read(containers["main"], "memory.high", "memory.min") == ("max", str(32 * MI))

    pod, containers = await groups(node, "nothing")
    assert pod.parent == parent / "besteffort"
    assert read(containers["main"], "cpu.max", "cpu.weight", "memory.max") == ("max 100000", "1", "max")

    pod, containers = await groups(node, "level")
    assert read(pod, "cpu.max", "memory.max") == read(containers["main"], "cpu.max", "memory.max")
    assert read(containers["main"], "memory.max") == (str(48 * MI),)
    assert read(parent / "burstable", "memory.min") == (str(32 * MI),)
    assert read(parent, "memory.min") == (str(96 * MI),)
    assert read(parent / "besteffort", "cpu.weight") == ("1",)


async def test_a_busy_container_is_throttled_and_the_pages_tell(make_node: MakeNode) -> None:
    node = await make_node()
    busy = container("while :; do :; done", **asking({"cpu": "20m"}, cpu="100m"))
    await create(node, "busy", busy, container(name="calm"))
    _, containers = await groups(node, "busy")
    await node.until(lambda: count(containers["main"], "cpu.stat", "nr_throttled") > 5, "throttling")
    assert count(containers["calm"], "cpu.stat", "nr_throttled") == 0
    text = await node.text("metrics/cadvisor")
    samples = {
        line.split("{")[0]: float(line.split("} ")[1].split()[0])
        for line in text.splitlines()
        if 'container="main"' in line
    }
    assert samples["container_cpu_cfs_throttled_periods_total"] > 5
    assert samples["container_pressure_cpu_waiting_seconds_total"] > 0
    assert samples["container_oom_events_total"] == 0
    (pod,) = (await node.proxy("GET", "stats/summary"))["pods"]
    by_name = {c["name"]: c for c in pod["containers"]}
    assert by_name["main"]["cpu"]["psi"]["some"]["total"] > by_name["calm"]["cpu"]["psi"]["some"]["total"]
    assert pod["memory"]["usageBytes"] > 0


async def test_out_of_memory_ends_the_whole_container(make_node: MakeNode) -> None:
    node = await make_node()
    limits = asking(memory="24Mi")
    await create(node, "hog", container(f"sleep 1000 & {GREEDY}", **limits), restartPolicy="Never")
    pod = await node.phase("hog", "Failed")
    ended = main_status(pod).state.terminated
    assert (ended.reason, ended.exitCode) == ("OOMKilled", 137)
    event = await node.event("hog", "OOMKilling")
    assert event.type == "Warning"
    assert event.involvedObject.fieldPath == "spec.containers{main}"
    assert "the container's memory limit" in (event.message or "")

    await create(node, "victim", container(**limits))
    group, _ = await groups(node, "victim")
    code, _ = await node.exec("victim", "sh", "-c", GREEDY, stdout=True)
    assert code != 0
    after = await node.wait("victim", lambda p: main_status(p).restartCount == 1, "to start again")
    last = main_status(after).lastState.terminated
    assert (last.reason, last.exitCode) == ("OOMKilled", 137)
    assert count(group, "memory.events", "oom_kill") >= 1


async def test_out_of_memory_can_end_one_process_only(make_node: MakeNode) -> None:
    node = await make_node(limits=LimitPolicy(single_process_oom_kill=True))
    await create(node, "calm", container(**asking(memory="24Mi")))
    _, containers = await groups(node, "calm")
    before = main_status(await node.get("calm")).containerID
    code, _ = await node.exec("calm", "sh", "-c", f"{GREEDY}; exit 5", stdout=True)
    assert code in (5, 137)
    event = await node.event("calm", "OOMKilling")
    assert "killed with it" not in (event.message or "")
    assert count(containers["main"], "memory.events", "oom_kill") >= 1
    after = main_status(await node.get("calm"))
    assert (after.containerID, after.restartCount) == (before, 0)
    assert after.state.running


async def test_memory_is_throttled_before_the_limit_and_processes_are_bounded(make_node: MakeNode) -> None:
    node = await make_node(limits=LimitPolicy(memory_qos=True), pod_pids_limit=24)
    script = "dd if=/dev/zero of=/dev/shm/held bs=1M count=44; " + FOREVER
    await create(node, "high", container(script, **asking({"memory": "4Mi"}, memory="48Mi")))
    _, containers = await groups(node, "high")
    await node.until(lambda: count(containers["main"], "memory.events", "high") > 0, "memory.high")
    assert count(containers["main"], "memory.events", "oom_kill") == 0

    await create(node, "forks")
    group, _ = await groups(node, "forks")
    forks = "i=0; while [ $i -lt 100 ]; do sleep 1000 >/dev/null 2>&1 & i=$((i+1)); done"
    code, output = await node.exec("forks", "sh", "-c", forks, stdout=True, stderr=True)
    assert code != 0
    assert "can't fork" in output
    assert count(group, "pids.events", "max") > 0
    assert int(read(group, "pids.current")[0]) <= 24
    await create(node, "neighbour")
    await node.ready("neighbour")


async def test_devices_are_opened_only_by_whom_the_pod_allows(make_node: MakeNode) -> None:
    node = await make_node()
    device = os.stat(DISK).st_rdev
    number = f"{os.major(device)} {os.minor(device)}"
    steal = f"mknod /tmp/disk b {number} && dd if=/tmp/disk of=/dev/null bs=512 count=1"
    volume = {"name": "disk", "hostPath": {"path": DISK, "type": "BlockDevice"}}
    mounts: dict[str, Any] = {"volumeMounts": [{"name": "disk", "mountPath": "/dev/disk"}]}
    await create(node, "plain", container(**mounts), volumes=[volume])
    await node.ready("plain")
    code, output = await node.exec(
        "plain", "sh", "-c", f"echo x >/dev/null && {steal}", stdout=True, stderr=True
    )
    assert code != 0
    assert "Operation not permitted" in output
    code, output = await node.exec("plain", "dd", "if=/dev/disk", "bs=512", "count=1", stderr=True)
    assert code != 0
    assert "Operation not permitted" in output
    event = await node.event("plain", "NotAsAsked")
    assert "annotate the pod with minipod.io/allow-devices: disk" in (event.message or "")

    notes = {"minipod.io/allow-devices": "disk"}
    await create(node, "allowed", container(**mounts), volumes=[volume], notes=notes)
    await node.ready("allowed")
    code, output = await node.exec("allowed", "dd", "if=/dev/disk", "of=/dev/null", "bs=512", "count=1")
    assert code == 0, output
    other = "mknod /tmp/mem c 1 1 && dd if=/tmp/mem of=/dev/null bs=1 count=1"
    code, output = await node.exec("allowed", "sh", "-c", other, stdout=True, stderr=True)
    assert code != 0
    assert "Operation not permitted" in output


async def test_disk_traffic_is_limited_for_whoever_asks(make_node: MakeNode, word: str) -> None:
    node = await make_node()
    parent = node.settings().cgroup_root / word
    place = Path("/var/lib/minipod") / word
    place.mkdir()
    try:
        volume = {"name": "data", "hostPath": {"path": str(place), "type": "Directory"}}
        mounts: dict[str, Any] = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
        await create(node, "usual")
        await node.ready("usual")
        assert "io" not in read(parent, "cgroup.subtree_control")[0].split()
        wrong = {"minipod.io/io.max": "/dev/vda wbps=fast"}
        await create(node, "wrong", notes=wrong)
        event = await node.event("wrong", "FailedCreatePodSandBox")
        assert 'minipod.io/io.max: "wbps=fast": expected a quantity' in (event.message or "")

        notes = {"minipod.io/io.max": "/dev/vda wbps=1Mi"}
        await create(node, "slow", container(**mounts), volumes=[volume], notes=notes)
        group, _ = await groups(node, "slow")
        assert "wbps=1048576" in read(group, "io.max")[0]
        began = time.monotonic()
        write = "dd if=/dev/zero of=/data/file bs=1M count=4 conv=fsync"
        code, output = await node.exec("slow", "sh", "-c", write, stdout=True, stderr=True)
        assert code == 0, output
        assert time.monotonic() - began > 2
        assert "wbytes=" in read(group, "io.stat")[0]
    finally:
        shutil.rmtree(place)


@pytest.fixture
def inhabited(word: str) -> Iterator[Path]:
    """A group with a process in it, which therefore hands no controllers down."""
    group = cgroup.create(cgroup.mount_point(), word)
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        cgroup.add_process(group, sleeper.pid)
        yield group
        sleeper.kill()


async def test_a_level_with_processes_hands_nothing_down_and_is_named(
    make_node: MakeNode, word: str, inhabited: Path
) -> None:
    node = await make_node(cgroup_parent=f"{word}/unit", enforcement=CgroupEnforcement.STRICT)
    await create(node, "web", container(**asking(memory="64Mi")))
    pod = await node.phase("web", "Failed")
    assert pod.status.reason == "CgroupControllerMissing"
    assert "memory" in (pod.status.message or "")
    with pytest.raises(OSError, match="no-internal-process") as caught:
        cgroup.create(cgroup.mount_point(), f"{word}/unit/web", ["hugetlb"])
    assert caught.value.filename == str(inhabited)
