"""Whether an ended container runs again: the restart policies of pod and container, and rules by exit code. Pure.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy and KEP-5307
(https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/5307-container-restart-policy).
"""

from __future__ import annotations

from collections.abc import Mapping

from minipod.api import core_v1
from minipod.kubelet.backoff import MICROSECONDS
from minipod.kubelet.pod_names import AnyContainer
from minipod.kubelet.status.records import ContainerRecord, container_hash
from minipod.runtime.types import SandboxStatus

LONG_LIFE = 10.0
"""Seconds after which the death of a sandbox is taken for an accident."""


def is_sidecar(container: AnyContainer) -> bool:
    """Of an init container: whether it keeps running beside the containers after it (KEP-753)."""
    return container.restartPolicy == "Always"


def restart_policy(pod: core_v1.Pod, container: core_v1.Container) -> str:
    """The container's own policy, else the pod's."""
    return container.restartPolicy or pod.spec.restartPolicy or "Always"


def changed(container: core_v1.Container, record: ContainerRecord) -> bool:
    """Whether the record is of another definition than the one asked for now (its image was changed)."""
    return bool(record.hash) and record.hash != container_hash(container)


def should_restart(pod: core_v1.Pod, container: core_v1.Container, record: ContainerRecord) -> bool:
    """What policy and rules say of an ended container. A rule that matches its exit code goes before the policy."""
    if any(_matches(rule, record.exit_code) for rule in container.restartPolicyRules):
        return True
    policy = restart_policy(pod, container)
    return policy == "Always" or (policy == "OnFailure" and not record.succeeded)


def runs_again(
    pod: core_v1.Pod,
    container: core_v1.Container,
    record: ContainerRecord,
    *,
    asked: bool = False,
    unwell: bool = False,
) -> bool:
    """Whether an ended container will be started again in its place.

    `asked`: a user wants it restarted. `unwell`: the kubelet has stopped it because a probe failed, so that its end
    is no success even with exit code 0. A changed definition runs whatever the policy.
    """
    if asked or changed(container, record):
        return True
    if unwell and restart_policy(pod, container) != "Never":
        return True
    return should_restart(pod, container, record)


def initialized(pod: core_v1.Pod, records: Mapping[str, ContainerRecord]) -> bool:
    """Whether a main container was made in this sandbox: then every init container has had its turn."""
    return any(c.name in records and records[c.name].current for c in pod.spec.containers)


def failed_for_good(
    pod: core_v1.Pod, container: core_v1.Container, record: ContainerRecord | None, *, asked: bool = False
) -> bool:
    """Of an init container that is no sidecar: it has failed, in this sandbox, and so has the pod."""
    if record is None or not record.current or not record.exited or record.succeeded:
        return False
    return not asked and not should_restart(pod, container, record)


def _matches(rule: core_v1.ContainerRestartRule, code: int) -> bool:
    codes = rule.exitCodes
    if rule.action != "Restart" or codes is None:
        return False
    return (code in codes.values) == (codes.operator == "In")


def is_no_habit(sandbox: SandboxStatus, now: int) -> bool:
    """Whether a sandbox that died is the pod's first or lived for a while: then nothing has to be slowed down.

    `now`: µs since the epoch.
    """
    return sandbox.attempt == 0 or now - sandbox.created_at > LONG_LIFE * MICROSECONDS
