"""Events and ends of containers as entries of a journal: pure."""

from __future__ import annotations

import signal

from minipod.api import core_v1
from minipod.api.timestamps import to_epoch_us
from minipod.kubelet import events
from minipod.kubelet.history.entries import Entry, Step, printable
from minipod.kubelet.pod_names import AnyContainer
from minipod.kubelet.status.records import ContainerRecord

_STEPS = {
    events.PULLED: Step.IMAGE,
    events.INSPECT_FAILED: Step.IMAGE,
    events.ERR_IMAGE_NEVER_PULL: Step.IMAGE,
    "Pulling": Step.IMAGE,
    events.FAILED_MOUNT: Step.MOUNT,
    events.FAILED_CREATE_SANDBOX: Step.SANDBOX,
    events.SANDBOX_CHANGED: Step.SANDBOX,
    "Unhealthy": Step.PROBE,
    "ProbeWarning": Step.PROBE,
    events.BACK_OFF: Step.BACK_OFF,
    events.KILLING: Step.KILL,
    events.DEADLINE_EXCEEDED: Step.DEADLINE,
    events.NODE_AFFINITY: Step.ADMISSION,
    events.POD_OS_NOT_SUPPORTED: Step.ADMISSION,
    events.SYSCTL_FORBIDDEN: Step.ADMISSION,
    events.CGROUP_CONTROLLER_MISSING: Step.ADMISSION,
    events.OOM_SCORE_NOT_PERMITTED: Step.ADMISSION,
}

TOLD_OTHERWISE = frozenset((events.CREATED, events.STARTED, "MissingClusterDNS"))
"""Events of what is noted with its duration where it is done, and one that every pod of a node without DNS has."""


def step_of(type_: str, reason: str) -> Step | None:
    """The step an Event tells of; None for one that has no place in a journal."""
    if reason in TOLD_OTHERWISE:
        return None
    if step := _STEPS.get(reason):
        return step
    if "Hook" in reason:
        return Step.HOOK
    if "Resize" in reason:
        return Step.RESIZE
    if "Restart" in reason:
        return Step.RESTART
    return Step.PROBLEM if type_ == events.WARNING else Step.NOTE


def beginnings(pod: core_v1.Pod) -> list[Entry]:
    """What happened before this node knew of the pod, as the Pod tells it, to the second."""
    created = to_epoch_us(pod.metadata.creationTimestamp)
    found = [Entry(id=1, at=created, step=Step.CREATED, message="the pod was created")] if created else []
    for condition in pod.status.conditions:
        if condition.type != "PodScheduled":
            continue
        bound = condition.status == "True"
        message = f"assigned to node {pod.spec.nodeName}" if bound else f"not scheduled: {condition.message}"
        at = to_epoch_us(condition.lastTransitionTime) or created
        found.append(Entry(id=2, at=at, step=Step.SCHEDULED, message=printable(message), failed=not bound))
    return found


def volumes_message(pod: core_v1.Pod) -> str:
    """What volumes the pod has: "set up: data (emptyDir), conf (hostPath)"; "" for none."""
    named = [f"{volume.name} ({_volume_type(volume)})" for volume in pod.spec.volumes]
    return f"set up: {', '.join(named)}" if named else ""


def mounts_message(container: AnyContainer) -> str:
    """What of them a container sees: "created, mounts /data (data), /conf (conf)"."""
    mounts = [f"{mount.mountPath} ({mount.name})" for mount in container.volumeMounts]
    return f"created, mounts {', '.join(mounts)}" if mounts else "created"


def _volume_type(volume: core_v1.Volume) -> str:
    fields = (field for field in volume.__struct_fields__ if field != "name")
    return next((field for field in fields if getattr(volume, field) is not None), "emptyDir")


def signal_name(number: int) -> str:
    """SIGKILL; "signal 40" for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def how_it_ended(record: ContainerRecord, reason: str) -> str:
    """A container's end in a few words: "exit code 1 (Error)", "killed by SIGSEGV, exit code 139 (Error)"."""
    ended = record.exit
    if record.failure is not None:
        return f"could not be started: {record.failure.message}"
    if ended is None:
        return f"ended ({reason})"
    if ended.oom_killed:
        return f"out of memory: killed by the kernel, exit code {ended.code} (OOMKilled)"
    if ended.signal:
        return f"killed by {signal_name(ended.signal)}, exit code {ended.code} ({reason})"
    return f"exit code {ended.code} ({reason})"
