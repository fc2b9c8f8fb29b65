"""Containers of every sort: what each must have, and what must be unique among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from minipod.api import names, pod_resources
from minipod.api.core_v1 import (
    Container,
    ContainerPort,
    ContainerRestartRule,
    EphemeralContainer,
    Pod,
    ResourceRequirements,
    Volume,
)
from minipod.api.field_errors import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    invalids,
    not_found,
    not_supported,
    required,
    too_many,
)
from minipod.api.validation import env, handlers, mounts, resources, rules, security, volumes

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_RULE_ACTIONS = ("Restart",)  # RestartAllContainers is behind a feature gate, off by default (KEP-5532)
_MAX_RULES = 20
_MAX_EXIT_CODES = 255
_NOT_FOR_EPHEMERAL = (
    "ports",
    "resources",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
)


@dataclass(frozen=True, slots=True)
class _Around:
    """What a container's validity depends on in the pod around it."""

    volumes: Mapping[str, Volume]
    claims: frozenset[str]
    host_users: bool
    pod_restart_policy: str
    grace_seconds: int | None
    os: str | None


def containers(pod: Pod, path: str) -> Iterator[FieldError]:
    """All of spec's containers, init containers and ephemeral containers; `path` is the spec's."""
    around = _around(pod)
    seen: set[str] = set()
    if not pod.spec.containers:
        yield required(f"{path}.containers")
    for index, container in enumerate(pod.spec.containers):
        inner = f"{path}.containers[{index}]"
        yield from _common(container, around, inner)
        yield from _unique_name(container.name, seen, inner)
        yield from handlers.probes_and_hooks(container, around.grace_seconds, around.os, inner)
        yield from _restart_rules(container, inner)
    yield from _host_ports(pod.spec.containers, f"{path}.containers")
    for index, container in enumerate(pod.spec.initContainers):
        inner = f"{path}.initContainers[{index}]"
        yield from _common(container, around, inner)
        yield from _unique_name(container.name, seen, inner)
        # Init containers run one after the other: only a port said twice by the same one collides.
        yield from _host_ports([container], f"{path}.initContainers", first=index)
        if pod_resources.is_sidecar(container):
            yield from handlers.probes_and_hooks(container, around.grace_seconds, around.os, inner)
        else:
            yield from handlers.none_allowed(container, inner)
        yield from _restart_rules(container, inner)
    yield from _host_network_ports(pod, path)


def ephemeral_containers(pod: Pod, path: str) -> Iterator[FieldError]:
    around = _around(pod)
    others = {container.name for container in (*pod.spec.containers, *pod.spec.initContainers)}
    seen = set(others)
    for index, container in enumerate(pod.spec.ephemeralContainers):
        inner = f"{path}.ephemeralContainers[{index}]"
        yield from _common(container, around, inner)
        yield from _unique_name(container.name, seen, inner)
        if container.targetContainerName and container.targetContainerName not in others:
            yield not_found(f"{inner}.targetContainerName", container.targetContainerName)
        yield from _not_for_ephemeral(container, inner)


def _not_for_ephemeral(container: EphemeralContainer, path: str) -> Iterator[FieldError]:
    """Nothing a pod could come to rely on: an ephemeral container is never restarted."""
    why = "cannot be set for an Ephemeral Container"
    for field in _NOT_FOR_EPHEMERAL:
        if getattr(container, field) not in (None, [], ResourceRequirements()):
            yield forbidden(f"{path}.{field}", why)
    for index, mount in enumerate(container.volumeMounts):
        for field in ("subPath", "subPathExpr"):
            if getattr(mount, field):
                yield forbidden(f"{path}.volumeMounts[{index}].{field}", why)


def _around(pod: Pod) -> _Around:
    return _Around(
        volumes=volumes.by_name(pod.spec.volumes),
        claims=frozenset(claim.name for claim in pod.spec.resourceClaims),
        host_users=pod.spec.hostUsers is not False,
        pod_restart_policy=pod.spec.restartPolicy or "Always",
        grace_seconds=pod.spec.terminationGracePeriodSeconds,
        os=pod.spec.os.name if pod.spec.os is not None else None,
    )


def _common(container: Container | EphemeralContainer, around: _Around, path: str) -> Iterator[FieldError]:
    yield from rules.named(f"{path}.name", container.name, names.dns_label)
    yield from image(container.image, f"{path}.image")
    yield from rules.one_of(
        f"{path}.terminationMessagePolicy", container.terminationMessagePolicy, _MESSAGE_POLICIES
    )
    yield from _ports(container.ports, f"{path}.ports")
    yield from env.env(container.env, f"{path}.env")
    yield from env.env_from(container.envFrom, f"{path}.envFrom")
    yield from mounts.volume_mounts(container, around.volumes, f"{path}.volumeMounts")
    yield from mounts.volume_devices(
        container.volumeDevices, container.volumeMounts, around.volumes, f"{path}.volumeDevices"
    )
    yield from rules.one_of(f"{path}.imagePullPolicy", container.imagePullPolicy, _PULL_POLICIES)
    yield from resources.container_resources(container.resources, around.claims, f"{path}.resources")
    yield from _resize_policy(container, around.pod_restart_policy, f"{path}.resizePolicy")
    yield from security.container_security(
        container.securityContext, f"{path}.securityContext", host_users=around.host_users
    )
    for field in ("command", "args"):
        for index, text in enumerate(getattr(container, field)):
            yield from rules.no_nul(f"{path}.{field}[{index}]", text)
    yield from rules.no_nul(f"{path}.workingDir", container.workingDir)


def image(name: str | None, path: str) -> Iterator[FieldError]:
    if not name:
        yield required(path)
    elif name != name.strip():
        yield invalid(path, name, "must not have leading or trailing whitespace")


def _unique_name(name: str, seen: set[str], path: str) -> Iterator[FieldError]:
    if name and name in seen:
        yield duplicate(f"{path}.name", name)
    seen.add(name)


def _ports(ports: Sequence[ContainerPort], path: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        inner = f"{path}[{index}]"
        if port.name:
            problems = names.port_name(port.name)
            yield from invalids(f"{inner}.name", port.name, problems)
            if not problems and port.name in seen:
                yield duplicate(f"{inner}.name", port.name)
            seen.add(port.name)
        if port.containerPort == 0:
            yield required(f"{inner}.containerPort")
        else:
            yield from invalids(
                f"{inner}.containerPort", port.containerPort, names.port_number(port.containerPort)
            )
        if port.hostPort:
            yield from invalids(f"{inner}.hostPort", port.hostPort, names.port_number(port.hostPort))
        if port.hostIP:
            yield from rules.ip_address(f"{inner}.hostIP", port.hostIP)
        yield from rules.one_of(f"{inner}.protocol", port.protocol, _PROTOCOLS)


def _host_ports(found: Sequence[Container], path: str, first: int = 0) -> Iterator[FieldError]:
    seen = set()
    for index, container in enumerate(found, first):
        for place, port in enumerate(container.ports):
            if not port.hostPort:
                continue
            key = f"{port.protocol}/{port.hostIP or ''}/{port.hostPort}"
            if key in seen:
                yield duplicate(f"{path}[{index}].ports[{place}].hostPort", key)
            seen.add(key)


def _host_network_ports(pod: Pod, path: str) -> Iterator[FieldError]:
    if not pod.spec.hostNetwork:
        return
    for index, container in enumerate(pod.spec.containers):
        for place, port in enumerate(container.ports):
            if port.hostPort != port.containerPort:
                inner = f"{path}.containers[{index}].ports[{place}].hostPort"
                why = "must match `containerPort` when `hostNetwork` is true"
                yield invalid(inner, port.hostPort or 0, why)


def _resize_policy(
    container: Container | EphemeralContainer, pod_restart_policy: str, path: str
) -> Iterator[FieldError]:
    seen = set()
    for index, policy in enumerate(container.resizePolicy):
        if policy.resourceName in seen:
            yield duplicate(f"{path}[{index}]", policy.resourceName)
        seen.add(policy.resourceName)
        yield from rules.one_of(path, policy.resourceName, ("cpu", "memory"))
        yield from rules.one_of(path, policy.restartPolicy, ("NotRequired", "RestartContainer"))
        if pod_restart_policy == "Never" and policy.restartPolicy != "NotRequired":
            why = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            yield invalid(path, policy.restartPolicy, why)


def _restart_rules(container: Container, path: str) -> Iterator[FieldError]:
    """KEP-5307: a restart policy, and rules by exit code, of a container's own."""
    policy = container.restartPolicy
    if policy is not None and policy not in _RESTART_POLICIES:
        yield not_supported(f"{path}.restartPolicy", policy, _RESTART_POLICIES)
    if container.restartPolicyRules and policy is None:
        yield required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used")
    if len(container.restartPolicyRules) > _MAX_RULES:
        yield too_many(f"{path}.restartPolicyRules", len(container.restartPolicyRules), _MAX_RULES)
    for index, rule in enumerate(container.restartPolicyRules):
        yield from _restart_rule(rule, f"{path}.restartPolicyRules[{index}]")


def _restart_rule(rule: ContainerRestartRule, path: str) -> Iterator[FieldError]:
    if rule.action not in _RULE_ACTIONS:
        yield not_supported(f"{path}.action", rule.action, _RULE_ACTIONS)
    if rule.exitCodes is None:
        yield required(f"{path}.exitCodes", "must be specified")
        return
    if rule.exitCodes.operator not in ("In", "NotIn"):
        yield not_supported(f"{path}.exitCodes.operator", rule.exitCodes.operator, ("In", "NotIn"))
    if not rule.exitCodes.values:
        yield required(f"{path}.exitCodes.values", "must have at least one value")
    if len(rule.exitCodes.values) > _MAX_EXIT_CODES:
        yield too_many(f"{path}.exitCodes.values", len(rule.exitCodes.values), _MAX_EXIT_CODES)
