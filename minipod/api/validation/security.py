"""Security contexts of pods and containers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from minipod.api.core_v1 import AppArmorProfile, Pod, PodSecurityContext, SeccompProfile, SecurityContext
from minipod.api.field_errors import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)
from minipod.api.validation import rules

_PROFILE_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
_PROC_MOUNTS = ("Default", "Unmasked")
_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"^({_SYSCTL_SEGMENT}[\./])*{_SYSCTL_SEGMENT}$"
_SYSCTL_LENGTH = 253
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "fs.mqueue.")
_LONGEST_PATH = 4095


def container_security(
    context: SecurityContext | None, path: str, *, host_users: bool
) -> Iterator[FieldError]:
    if context is None:
        return
    yield from rules.user_or_group(f"{path}.runAsUser", context.runAsUser)
    yield from rules.user_or_group(f"{path}.runAsGroup", context.runAsGroup)
    if context.procMount is not None:
        if context.procMount not in _PROC_MOUNTS:
            yield not_supported(f"{path}.procMount", context.procMount, _PROC_MOUNTS)
        elif context.procMount == "Unmasked" and host_users:
            yield invalid(
                f"{path}.procMount", context.procMount, "`hostUsers` must be false to use `Unmasked`"
            )
    yield from _seccomp(context.seccompProfile, f"{path}.seccompProfile")
    if context.allowPrivilegeEscalation is False:
        shown = msgspec.to_builtins(context)
        if context.privileged:
            yield invalid(
                path, shown, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            )
        if context.capabilities is not None and "CAP_SYS_ADMIN" in context.capabilities.add:
            why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            yield invalid(path, shown, why)
    yield from _app_armor(context.appArmorProfile, f"{path}.appArmorProfile")


def pod_security(pod: Pod, path: str) -> Iterator[FieldError]:
    """spec.securityContext and the host namespaces beside it."""
    spec, context = pod.spec, pod.spec.securityContext or PodSecurityContext()
    for field in ("fsGroup", "runAsUser", "runAsGroup"):
        yield from rules.user_or_group(f"{path}.{field}", getattr(context, field))
    for index, group in enumerate(context.supplementalGroups):
        yield from rules.user_or_group(f"{path}.supplementalGroups[{index}]", group)
    if spec.hostPID and spec.shareProcessNamespace:
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield invalid(f"{path}.shareProcessNamespace", True, why)
    yield from _sysctls(pod, context, f"{path}.sysctls")
    for field, supported in (
        ("fsGroupChangePolicy", ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
        ("seLinuxChangePolicy", ("MountOption", "Recursive")),
    ):
        value = getattr(context, field)
        if value is not None and value not in supported:
            yield not_supported(f"{path}.{field}", value, supported)
    yield from _seccomp(context.seccompProfile, f"{path}.seccompProfile")
    yield from _app_armor(context.appArmorProfile, f"{path}.appArmorProfile")
    if spec.hostUsers is False:
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if getattr(spec, field):
                yield forbidden(f"spec.{field}", "when `pod.Spec.HostUsers` is false")


def _sysctls(pod: Pod, context: PodSecurityContext, path: str) -> Iterator[FieldError]:
    seen = set()
    for index, sysctl in enumerate(context.sysctls):
        inner, name = f"{path}[{index}].name", sysctl.name
        if not name:
            yield required(inner)
        elif len(name) > _SYSCTL_LENGTH or not re.fullmatch(_SYSCTL, name):
            yield invalid(
                inner, name, f"must have at most {_SYSCTL_LENGTH} characters and match regex {_SYSCTL}"
            )
        elif name in seen:
            yield duplicate(inner, name)
        dotted = name.replace("/", ".")
        if pod.spec.hostNetwork and dotted.startswith("net."):
            yield invalid(inner, name, "may not be specified when 'hostNetwork' is true")
        if pod.spec.hostIPC and (dotted.startswith(_IPC_SYSCTLS) or dotted == "kernel.sem"):
            yield invalid(inner, name, "may not be specified when 'hostIPC' is true")
        seen.add(name)


def _seccomp(profile: SeccompProfile | None, path: str) -> Iterator[FieldError]:
    if profile is None:
        return
    if not profile.type:
        yield required(f"{path}.type", "type is required when seccompProfile is set")
    elif profile.type not in _PROFILE_TYPES:
        yield not_supported(f"{path}.type", profile.type, _PROFILE_TYPES)
    if profile.type != "Localhost":
        if profile.localhostProfile is not None:
            why = "can only be set when seccomp type is Localhost"
            yield invalid(f"{path}.localhostProfile", profile.localhostProfile, why)
    elif profile.localhostProfile is None:
        yield required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
    else:
        yield from rules.descending_path(f"{path}.localhostProfile", profile.localhostProfile)


def _app_armor(profile: AppArmorProfile | None, path: str) -> Iterator[FieldError]:
    if profile is None:
        return
    if not profile.type:
        yield required(f"{path}.type", "type is required when appArmorProfile is set")
    elif profile.type not in _PROFILE_TYPES:
        yield not_supported(f"{path}.type", profile.type, _PROFILE_TYPES)
    local = profile.localhostProfile
    if profile.type != "Localhost":
        if local is not None:
            yield invalid(
                f"{path}.localhostProfile", local, "can only be set when AppArmor type is Localhost"
            )
    elif not local or not local.strip():
        yield required(f"{path}.localhostProfile", "must be set when AppArmor type is Localhost")
    elif local != local.strip():
        yield invalid(f"{path}.localhostProfile", local, "must not be padded with whitespace")
    elif len(local.encode()) > _LONGEST_PATH:
        yield too_long(f"{path}.localhostProfile", _LONGEST_PATH)
