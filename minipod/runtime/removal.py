"""Taking away what a sandbox had, by record: cgroups, writable layers, files. Everything can be repeated."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from minipod.linux import tree
from minipod.linux.cgroup2 import cgroup
from minipod.runtime.state import SHIM_LEAF, ContainerRecord, SandboxRecord, StateDirectory
from minipod.runtime.types import ContainerState, ExitRecord, OverlayRootfs, SandboxState

UNKNOWN_CODE = 137
"""The exit code of a container whose end nobody saw, as the kubelet reports it."""
CGROUP_TIMEOUT = 10.0


def kill_cgroup(group: Path) -> None:
    """SIGKILL everything in the pod's cgroup and wait until nothing lives in it. Blocks; raises TimeoutError."""
    try:
        cgroup.kill(group)
        if not cgroup.wait_for_event(group, "populated", 0, CGROUP_TIMEOUT):
            raise TimeoutError(f"{group}: killed processes have not ended within {CGROUP_TIMEOUT:g} s")
    except FileNotFoundError:
        pass


def remove_cgroup_now(group: Path) -> bool:
    """Remove a pod's cgroup whose shim has just taken all leaves but its own away; False when something is left."""
    try:
        os.rmdir(group / SHIM_LEAF)
        os.rmdir(group)
    except FileNotFoundError:
        return not group.exists()
    except OSError:
        return False
    return True


def remove_cgroup(group: Path) -> None:
    """Kill and remove, however deep. Blocks; raises OSError."""
    kill_cgroup(group)
    cgroup.remove(group, CGROUP_TIMEOUT)


def remove_layers(rootfs: Iterable[OverlayRootfs], data_dir: Path) -> None:
    """Writable layers and the directories in `data_dir` that held nothing else. Blocks; raises OSError."""
    for layers in rootfs:
        for path in (layers.upper, layers.work):
            tree.remove_tree(path)
        for parent in {layers.upper.parent, layers.work.parent}:
            _remove_empty(parent, data_dir)


def remove_attempts(rootfs: Iterable[OverlayRootfs], data_dir: Path) -> None:
    """Writable layers with whatever the caller laid beside them: all of pods/<uid>/containers/<name>/<attempt>.

    Blocks; raises OSError.
    """
    layers = list(rootfs)
    remove_layers(layers, data_dir)
    for parent in {layer.upper.parent for layer in layers}:
        if parent.match("pods/*/containers/*/*") and parent.is_relative_to(data_dir):
            tree.remove_tree(parent)
            _remove_empty(parent.parent, data_dir)


def remove_stray_layers(data_dir: Path, kept: Collection[Path]) -> None:
    """Every pods/<uid>/containers/<name>/<attempt> that holds no writable layer of `kept`. Blocks."""
    for attempt in data_dir.glob("pods/*/containers/*/*"):
        if not any(path.is_relative_to(attempt) for path in kept):
            tree.remove_tree(attempt)
            _remove_empty(attempt.parent, data_dir)


def remove_directory(directory: Path) -> None:
    """A sandbox's run directory: plain files and a socket, all our own."""
    try:
        for name in os.listdir(directory):
            os.unlink(directory / name)
        os.rmdir(directory)
    except FileNotFoundError:
        pass


def bury(
    directory: StateDirectory, record: SandboxRecord
) -> tuple[SandboxRecord, dict[str, ContainerRecord]]:
    """A sandbox whose shim is dead: kill the rest of it and put on record what is now true of it. Blocks.

    The shim wrote every exit it saw before it told of it; containers without one ended unseen, at some time until now.
    """
    kill_cgroup(record.cgroup)
    record = replace(record, state=SandboxState.NOT_READY, infra=None)
    containers = {}
    for container_id, container in directory.read_containers().items():
        containers[container_id] = _ended_unseen(container)
        if containers[container_id] is not container:
            directory.write_container(containers[container_id])
    directory.write_sandbox(record)
    return record, containers


def _ended_unseen(container: ContainerRecord) -> ContainerRecord:
    status = container.status
    if status.state is not ContainerState.RUNNING:
        return container
    exit_ = ExitRecord(code=UNKNOWN_CODE, started_at=status.started_at, finished_at=time.time_ns() // 1000)
    return replace(container, status=replace(status, state=ContainerState.EXITED, pid=0, exit=exit_))


def _remove_empty(directory: Path, data_dir: Path) -> None:
    """rmdir upwards as far as there is nothing left; a pod's own directory, pods/<uid>, stays."""
    pods = data_dir / "pods"
    while directory.is_relative_to(pods) and pods not in (directory, directory.parent):
        try:
            directory.rmdir()
        except OSError:
            return
        directory = directory.parent
