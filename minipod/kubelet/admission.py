"""Whether this node takes a pod at all: a pure check before anything is made for it."""

from __future__ import annotations

from collections.abc import Collection

from minipod.api import core_v1
from minipod.api.pod_resources import oom_score_adj
from minipod.api.priorities import is_critical
from minipod.api.resource_fit import Taken, insufficient, requests
from minipod.api.taints import MEMORY_PRESSURE, tolerates
from minipod.kubelet import events
from minipod.kubelet.containers.cgroups import Missing, missing_controllers
from minipod.kubelet.containers.security import forbidden_sysctl
from minipod.kubelet.eviction.types import EVICTED, Pressure
from minipod.kubelet.node_resources import allocatable
from minipod.kubelet.settings import CgroupEnforcement, NodeSettings
from minipod.kubelet.status.generate import Failed

_FIX = (
    "boot with the unified cgroup hierarchy (kernel parameters systemd.unified_cgroup_hierarchy=1 "
    "cgroup_no_v1=all; minipod doctor tells why it is missing and where to set them), or start the daemon with "
    "--cgroup-enforcement=best-effort to run without the limit"
)

_FIX_OOM = (
    "give the daemon CAP_SYS_RESOURCE, or start it with --cgroup-enforcement=best-effort, which runs the pod "
    "with a warning"
)


def admit(
    pod: core_v1.Pod,
    settings: NodeSettings,
    *,
    taken: Taken | None = None,
    pressures: Collection[Pressure] = (),
) -> Failed | None:
    """None, or why the pod is refused for good (it becomes Failed with this reason and message).

    `taken`: what the node's other pods hold, None: nothing; `pressures`: those the node is under.
    """
    if pressures and not bears(pod, pressures):
        return Failed(EVICTED, f"The node had condition: [{' '.join(pressures)}]. ")
    scarce = insufficient(requests(pod), allocatable(settings), taken or Taken())
    if scarce:
        return Failed(f"{events.OUT_OF}{scarce[0].resource}", str(scarce[0]))
    return _mismatch(pod, settings)


def bears(pod: core_v1.Pod, pressures: Collection[Pressure]) -> bool:
    """Whether the pod is let in under these pressures.

    Critical pods always are; under memory pressure alone so is what is not BestEffort, or tolerates the pressure.
    https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
    """
    if is_critical(pod):
        return True
    return set(pressures) == {Pressure.MEMORY} and tolerates(pod, MEMORY_PRESSURE)


def _mismatch(pod: core_v1.Pod, settings: NodeSettings) -> Failed | None:
    """Why the pod is not for a node like this one, however empty it is."""
    selector = pod.spec.nodeSelector
    if any(settings.labels.get(key) != value for key, value in selector.items()):
        return Failed(
            events.NODE_AFFINITY,
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        )
    if pod.spec.os is not None and pod.spec.os.name not in ("", "linux"):
        return Failed(
            events.POD_OS_NOT_SUPPORTED,
            "Failed to admit pod as the OS field doesn't match node OS: "
            f'pod asks for "{pod.spec.os.name}", node is "linux"',
        )
    for sysctl in pod.spec.securityContext.sysctls if pod.spec.securityContext else []:
        problem = forbidden_sysctl(pod, sysctl.name, settings.allowed_unsafe_sysctls)
        if problem:
            return Failed(events.SYSCTL_FORBIDDEN, problem)
    if settings.enforcement is CgroupEnforcement.STRICT:
        missing = missing_controllers(pod, settings.host)
        if missing:
            return Failed(events.CGROUP_CONTROLLER_MISSING, controller_message(missing))
        return _unprotected(pod, settings)
    return None


def _unprotected(pod: core_v1.Pod, settings: NodeSettings) -> Failed | None:
    """A pod that is to be spared by the OOM killer, by its QoS class or priority, where that cannot be had.

    docs/decisions/010-what-strict-refuses.md says why this alone of all that a host may withhold.
    """
    host = settings.host
    for container in (*pod.spec.initContainers, *pod.spec.containers):
        score = oom_score_adj(pod, container, host.memory_capacity)
        if score < min(host.lowest_oom_score, 0):
            return Failed(
                events.OOM_SCORE_NOT_PERMITTED,
                f"container {container.name} is to be spared by the OOM killer (oom_score_adj {score}), but this "
                f"daemon may not go below {host.lowest_oom_score}. Fix: {_FIX_OOM}",
            )
    return None


def warnings(pod: core_v1.Pod, settings: NodeSettings) -> list[tuple[str, str]]:
    """What a pod that is taken asks for in vain on this node, as (event reason, message)."""
    if settings.enforcement is CgroupEnforcement.STRICT:
        return []
    return [
        (events.CGROUP_NOT_ENFORCED, f"{missing}: it is not enforced")
        for missing in missing_controllers(pod, settings.host)
    ]


def controller_message(missing: list[Missing]) -> str:
    """Names every controller, what asked for it, and the way out."""
    return f"{'; '.join(map(str, missing))}. Fix: {_FIX}"
