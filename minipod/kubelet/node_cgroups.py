"""Makes the cgroups above pods and keeps their values: that of all pods, held to what the node can give, and by QoS.

What to write is decided in containers/node_groups.py. A value that cannot be written is a warning: pods run all the
same, each with its own limits.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction
from pathlib import Path

from minipod.api import core_v1, pod_resources
from minipod.client.events import EventRecorder
from minipod.kubelet import events
from minipod.kubelet.containers.node_groups import PIDS, Share, node_files, qos_files, share_of
from minipod.kubelet.node_resources import pods_limit
from minipod.kubelet.settings import NodeSettings
from minipod.linux import machine
from minipod.linux.cgroup2 import cgroup

log = logging.getLogger(__name__)

CONTROLLERS = frozenset({"cpu", "cpuset", "memory", "pids", "hugetlb"})
"""What every pod gets where the host has it; the io controller costs each disk access and is for those who ask."""

MEMORY_MAX = "memory.max"

PIDS_LEFT_FREE = 10
"""One process id in so many is not for pods, where nothing says how many are."""


class NodeCgroups:
    """`start` once, then `weigh` whenever the pods or what they request have changed."""

    def __init__(self, settings: NodeSettings, recorder: EventRecorder) -> None:
        self._settings = settings
        self._events = recorder
        self._parent = settings.cgroup_root / settings.cgroup_parent
        self._written: dict[tuple[str, str], str] = {}
        self._shares: dict[tuple[str | None, int | None], Share] = {}
        """By uid and generation of the Pod."""

    def start(self) -> None:
        """Make the groups, and hold all pods together to what is not reserved."""
        settings, name = self._settings, self._settings.node_name
        problems = self._make()
        if settings.limits.enforce_allocatable:
            files = node_files(limits_of_all_pods(settings, machine.most_tasks()), settings.host)
            problems += _write(self._parent, without_harm(files, _memory_in_use(self._parent)))
            if MEMORY_MAX in files and int(files[MEMORY_MAX]) < _memory_in_use(self._parent):
                problems.append(
                    f"memory.max: pods use more than {files[MEMORY_MAX]} bytes, it is left as it was"
                )
            if files and not problems:
                message = "Updated Node Allocatable limit across pods"
                self._events.node_event(name, events.NORMAL, events.NODE_ALLOCATABLE_ENFORCED, message)
        if problems:
            message = f"Failed to update Node Allocatable Limits: {'; '.join(problems)}"
            log.warning(message)
            self._events.node_event(
                name, events.WARNING, events.FAILED_NODE_ALLOCATABLE_ENFORCEMENT, message
            )

    def weigh(self, pods: Iterable[core_v1.Pod]) -> None:
        """Give each QoS class its share by what its pods request; what is written already is left alone."""
        shares = self._known_shares(pods)
        for name, files in qos_files(shares, self._settings.host, self._settings.limits).items():
            news = {file: text for file, text in files.items() if self._written.get((name, file)) != text}
            if not news:
                continue
            problems = _write(self._parent / name, news)
            if problems:
                log.warning("cannot weigh the %s pods: %s", name or "Guaranteed", "; ".join(problems))
            else:
                self._written |= {(name, file): text for file, text in news.items()}

    def _known_shares(self, pods: Iterable[core_v1.Pod]) -> Collection[Share]:
        """Worked out for pods that are new or changed; those that are gone are forgotten."""
        known = self._shares
        self._shares = {}
        for pod in pods:
            key = pod.metadata.uid, pod.metadata.generation
            self._shares[key] = known.get(key) or share_of(pod)
        return self._shares.values()

    def _make(self) -> list[str]:
        """Level by level, with every controller that the host has."""
        settings = self._settings
        wanted = CONTROLLERS & settings.host.controllers
        problems = []
        for below in ("burstable", "besteffort"):
            try:
                group = cgroup.create(settings.cgroup_root, f"{settings.cgroup_parent}/{below}", wanted)
                cgroup.enable_controllers(group, wanted)
            except OSError as error:
                problems.append(str(error))
        return problems


def limits_of_all_pods(settings: NodeSettings, pids: int) -> dict[str, Fraction]:
    """By resource. `pids`: how many process ids the machine has. Where none are reserved a tenth stays free.

    The kubelet sets no such limit by itself; here one machine is all there is, and a fork bomb would stop all of it.
    """
    found = dict(pods_limit(settings))
    kept = [
        pod_resources.amounts(part).get(PIDS) for part in (settings.system_reserved, settings.kube_reserved)
    ]
    reserved = sum(filter(None, kept), Fraction(0)) or Fraction(-(-pids // PIDS_LEFT_FREE))
    found[PIDS] = max(Fraction(pids) - reserved, Fraction(1))
    return found


def without_harm(files: Mapping[str, str], memory_in_use: int) -> dict[str, str]:
    """What may be written while pods run: the kernel would kill them to get below a memory.max that they exceed."""
    return {
        name: value for name, value in files.items() if name != MEMORY_MAX or int(value) >= memory_in_use
    }


def _memory_in_use(group: Path) -> int:
    try:
        return int(cgroup.read(group, "memory.current"))
    except OSError:
        return 0


def _write(group: Path, files: Mapping[str, str]) -> list[str]:
    """What could not be written, as sentences."""
    problems = []
    for name, value in files.items():
        try:
            cgroup.write(group, name, value)
        except OSError as error:
            problems.append(str(error))
    return problems
