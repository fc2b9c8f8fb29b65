"""What a container's process may do: capabilities, privilege, masked paths, devices.

The defaults are those of containerd (https://github.com/containerd/containerd/blob/main/pkg/oci/spec.go), which
are Docker's; the names are those of capabilities(7) and of the OCI runtime-spec.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minipod.api import core_v1
from minipod.kubelet.containers.process import CreateContainerConfigError
from minipod.kubelet.pod_names import AnyContainer
from minipod.linux.capabilities import NAMES

DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_DEFAULT_DEVICES = (
    ("c", 1, 3),  # null
    ("c", 1, 5),  # zero
    ("c", 1, 7),  # full
    ("c", 1, 8),  # random
    ("c", 1, 9),  # urandom
    ("c", 5, 0),  # tty
    ("c", 5, 1),  # console
    ("c", 5, 2),  # ptmx
    ("c", 136, None),  # pts/*
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilitySet:
    """What a container gets, and what it asked for and this host cannot give."""

    granted: tuple[str, ...]
    lacking: tuple[str, ...] = ()

    def to_oci(self) -> dict[str, list[str]]:
        """No inheritable and no ambient ones: a non-root process has none until it executes a file that has."""
        names = list(self.granted)
        return {"bounding": names, "effective": names, "permitted": names}


def privileged(container: AnyContainer) -> bool:
    context = container.securityContext
    return bool(context and context.privileged)


def capabilities(container: AnyContainer, available: Sequence[str]) -> CapabilitySet:
    """The capability set. `available`: what the daemon has itself.

    ALL in add or drop means all of them, others are then taken away or added one by one.
    Raises CreateContainerConfigError for a name the kernel does not know.
    """
    if privileged(container):
        return CapabilitySet(granted=tuple(c for c in NAMES if c in available))
    context = container.securityContext
    asked = (context.capabilities if context else None) or core_v1.Capabilities()
    field = f"spec.containers[{container.name}].securityContext.capabilities"
    add = [_name(c, f"{field}.add[{index}]") for index, c in enumerate(asked.add)]
    drop = [_name(c, f"{field}.drop[{index}]") for index, c in enumerate(asked.drop)]
    wanted: list[str] = list(DEFAULT_CAPABILITIES)
    explicit: list[str] = []
    if "CAP_ALL" in add:
        wanted = [c for c in NAMES if c in available]
    if "CAP_ALL" in drop:
        wanted = []
    for name in add:
        if name != "CAP_ALL" and name not in wanted:
            wanted.append(name)
            explicit.append(name)
    wanted = [c for c in wanted if c not in drop]
    return CapabilitySet(
        granted=tuple(c for c in wanted if c in available),
        lacking=tuple(c for c in explicit if c in wanted and c not in available),
    )


def no_new_privileges(container: AnyContainer) -> bool:
    context = container.securityContext
    return bool(context and context.allowPrivilegeEscalation is False)


def read_only_rootfs(container: AnyContainer) -> bool:
    context = container.securityContext
    return bool(context and context.readOnlyRootFilesystem)


def proc_masks(container: AnyContainer) -> tuple[list[str], list[str]]:
    """(maskedPaths, readonlyPaths); none at all for a privileged container or procMount Unmasked."""
    context = container.securityContext
    if context and (context.privileged or context.procMount == "Unmasked"):
        return [], []
    return list(MASKED_PATHS), list(READONLY_PATHS)


def device_rules(container: AnyContainer) -> list[dict[str, Any]]:
    """OCI linux.resources.devices: which device nodes may be opened, whoever made them (mknod is allowed for all)."""
    if privileged(container):
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "access": "m"},
        {"allow": True, "type": "b", "access": "m"},
    ]
    for kind, major, minor in _DEFAULT_DEVICES:
        rule: dict[str, Any] = {"allow": True, "type": kind, "major": major, "access": "rwm"}
        if minor is not None:
            rule["minor"] = minor
        rules.append(rule)
    return rules


def _name(word: str, field: str) -> str:
    """NET_ADMIN, net_admin or CAP_NET_ADMIN -> CAP_NET_ADMIN."""
    name = "CAP_" + word.upper().removeprefix("CAP_")
    if name != "CAP_ALL" and name not in NAMES:
        raise CreateContainerConfigError(
            f'{field}: unknown capability "{word}"', reason="CreateContainerError"
        )
    return name
