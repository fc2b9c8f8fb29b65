"""The groups above pods: what all pods together may have, and that a refusal of it stops nothing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from minipod.kubelet.node_cgroups import NodeCgroups, limits_of_all_pods, without_harm
from minipod.linux.cgroup2.memory import swap_counted
from minipod.linux.machine import meminfo
from tests.unit.kubelet.pods import container, host, pod, settings


class Recorder:
    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def node_event(self, node_name: str, type_: str, reason: str, message: str) -> None:
        self.told.append((type_, reason, message))


def test_process_ids_are_limited_to_what_is_not_reserved() -> None:
    assert limits_of_all_pods(settings(), 32768)["pid"] == 29491  # a tenth stays free
    reserving = settings(system_reserved={"pid": "700", "memory": "1Gi"}, kube_reserved={"pid": "68"})
    found = limits_of_all_pods(reserving, 32768)
    assert found["pid"] == Fraction(32000)
    assert found["memory"] == Fraction(reserving.host.memory_capacity - (1 << 30))
    assert limits_of_all_pods(settings(system_reserved={"pid": "99999"}), 32768)["pid"] == 1


@pytest.mark.parametrize(("in_use", "expected"), [(0, "500"), (500, "500"), (501, None)])
def test_a_limit_below_what_pods_use_is_not_written(in_use: int, expected: str | None) -> None:
    files = without_harm({"memory.max": "500", "cpu.weight": "7"}, in_use)
    assert (files.get("memory.max"), files["cpu.weight"]) == (expected, "7")


def test_what_cannot_be_written_is_told_and_stops_nothing(tmp_path: Path) -> None:
    recorder = Recorder()
    groups = NodeCgroups(settings(cgroup_root=tmp_path, host=host()), recorder)  # type: ignore[arg-type]
    groups.start()
    ((type_, reason, message),) = recorder.told
    assert (type_, reason) == ("Warning", "FailedNodeAllocatableEnforcement")
    assert str(tmp_path) in message
    groups.weigh([pod(container())])


def test_weights_are_written_when_they_change_and_only_then(tmp_path: Path) -> None:
    one = settings(cgroup_root=tmp_path, host=host())
    for name in ("burstable", "besteffort"):
        (tmp_path / one.cgroup_parent / name).mkdir(parents=True)
        (tmp_path / one.cgroup_parent / name / "cpu.weight").touch()
    groups = NodeCgroups(one, Recorder())  # type: ignore[arg-type]
    pods = [pod(container(resources={"requests": {"cpu": "1"}}))]
    groups.weigh(pods)
    file = tmp_path / one.cgroup_parent / "burstable" / "cpu.weight"
    assert file.read_text() == "100"
    file.write_text("untouched")
    groups.weigh(pods)
    assert file.read_text() == "untouched"
    groups.weigh([])
    assert file.read_text().startswith("1")


def test_swap_of_the_host(tmp_path: Path) -> None:
    assert meminfo("MemTotal: 5 kB\nSwapTotal: 2 kB\n").get("SwapTotal", 0) == 2048
    assert meminfo("").get("SwapTotal", 0) == 0
    assert swap_counted(tmp_path) is None
    (tmp_path / "system.slice").mkdir()
    (tmp_path / "system.slice" / "memory.max").touch()
    assert swap_counted(tmp_path) is False
    (tmp_path / "system.slice" / "memory.swap.max").touch()
    assert swap_counted(tmp_path) is True
