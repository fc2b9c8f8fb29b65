"""Whether this node takes a pod at all: a pure check before anything is made for it."""

from __future__ import annotations

from minipod.api import core_v1
from minipod.kubelet import events
from minipod.kubelet.security import forbidden_sysctl
from minipod.kubelet.services import NodeSettings
from minipod.kubelet.status.generate import Failed


def admit(pod: core_v1.Pod, settings: NodeSettings) -> Failed | None:
    """None, or why the pod is refused for good (it becomes Failed with this reason and message)."""
    selector = pod.spec.nodeSelector
    if any(settings.labels.get(key) != value for key, value in selector.items()):
        return Failed(
            events.NODE_AFFINITY,
            "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        )
    context = pod.spec.securityContext
    for sysctl in context.sysctls if context else []:
        problem = forbidden_sysctl(pod, sysctl.name, settings.allowed_unsafe_sysctls)
        if problem:
            return Failed(events.SYSCTL_FORBIDDEN, problem)
    return None
