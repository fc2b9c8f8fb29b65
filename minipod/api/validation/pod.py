"""A new pod: its metadata and everything in its spec."""

from __future__ import annotations

from collections.abc import Iterator

from minipod.api import names
from minipod.api.core_v1 import Pod, PodDNSConfig, PodSpec
from minipod.api.field_errors import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    invalids,
    not_supported,
    required,
)
from minipod.api.validation import containers, metadata, resources, rules, scheduling, security, volumes

MAX_NAMESERVERS = 3
MAX_SEARCHES = 32
MAX_SEARCH_CHARACTERS = 2048
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
PROBE_PERIOD_ANNOTATION = "minipod.io/probe-period-ms"
"""Milliseconds between the probes of every container of the pod, instead of their periodSeconds."""
MIN_PROBE_PERIOD_MS = 10
MAX_PROBE_PERIOD_MS = 60_000

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
_SYSTEMS = ("linux", "windows")


def pod_create(pod: Pod) -> Iterator[FieldError]:
    yield from pod_as_a_whole(pod)
    yield from probe_period(pod)
    if pod.spec.ephemeralContainers:
        yield forbidden("spec.ephemeralContainers", "cannot be set on create")
    if pod.spec.nodeName and pod.spec.schedulingGates:
        yield forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")


def pod_as_a_whole(pod: Pod) -> Iterator[FieldError]:
    """What must hold at all times, new or changed."""
    yield from metadata.object_meta(pod.metadata, names.dns_subdomain, namespaced=True)
    if MIRROR_ANNOTATION in pod.metadata.annotations and not pod.spec.nodeName:
        value = pod.metadata.annotations[MIRROR_ANNOTATION]
        why = "must set spec.nodeName if mirror pod annotation is set"
        yield invalid(f"metadata.annotations[{MIRROR_ANNOTATION}]", value, why)
    yield from volumes.volumes(pod, "spec.volumes")
    yield from _resource_claims(pod.spec)
    yield from containers.containers(pod, "spec")
    yield from containers.ephemeral_containers(pod, "spec")
    yield from resources.pod_level_resources(pod, "spec.resources")
    yield from _policies(pod.spec)
    yield from metadata.check_labels(pod.spec.nodeSelector, "spec.nodeSelector")
    yield from security.pod_security(pod, "spec.securityContext")
    yield from _dns(pod.spec.dnsConfig, pod.spec.dnsPolicy, "spec.dnsConfig")
    yield from scheduling.scheduling(pod.spec, "spec")
    yield from _names(pod.spec)
    yield from _numbers(pod.spec)
    yield from _host_aliases(pod.spec)
    yield from resources.overhead(pod.spec.overhead, "spec.overhead")


def probe_period(pod: Pod) -> Iterator[FieldError]:
    text = pod.metadata.annotations.get(PROBE_PERIOD_ANNOTATION)
    if text is None:
        return
    # isdecimal() is also true of other scripts' digits; the length keeps int() from a long text.
    readable = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_PROBE_PERIOD_MS))
    if not readable or not MIN_PROBE_PERIOD_MS <= int(text) <= MAX_PROBE_PERIOD_MS:
        why = f"must be a whole number of milliseconds from {MIN_PROBE_PERIOD_MS} to {MAX_PROBE_PERIOD_MS}"
        yield invalid(f"metadata.annotations[{PROBE_PERIOD_ANNOTATION}]", text, why)


def _policies(spec: PodSpec) -> Iterator[FieldError]:
    yield from rules.one_of("spec.restartPolicy", spec.restartPolicy, _RESTART_POLICIES)
    yield from rules.one_of("spec.dnsPolicy", spec.dnsPolicy, _DNS_POLICIES)
    if spec.preemptionPolicy is not None:
        yield from rules.one_of("spec.preemptionPolicy", spec.preemptionPolicy, _PREEMPTION_POLICIES)
    if spec.os is not None and not spec.os.name:
        yield required("spec.os.name", "cannot be empty")
    elif spec.os is not None and spec.os.name not in _SYSTEMS:
        yield not_supported("spec.os", spec.os.name, _SYSTEMS)
    for index, gate in enumerate(spec.readinessGates):
        path = f"spec.readinessGates[{index}].conditionType"
        yield from invalids(path, gate.conditionType, names.qualified_name(gate.conditionType))


def _names(spec: PodSpec) -> Iterator[FieldError]:
    for field in (
        "serviceAccountName",
        "nodeName",
        "priorityClassName",
        "runtimeClassName",
        "hostnameOverride",
    ):
        yield from rules.optionally_named(f"spec.{field}", getattr(spec, field), names.dns_subdomain)
    for field in ("hostname", "subdomain"):
        yield from rules.optionally_named(f"spec.{field}", getattr(spec, field), names.dns_label)
    if spec.hostnameOverride and len(spec.hostnameOverride) > names.HOSTNAME_LENGTH:
        why = f"must be no more than {names.HOSTNAME_LENGTH} bytes"
        yield invalid("spec.hostnameOverride", spec.hostnameOverride, why)
    if spec.hostnameOverride and spec.hostNetwork:
        yield forbidden("spec.hostnameOverride", "may not be specified when `hostNetwork` is true")


def _numbers(spec: PodSpec) -> Iterator[FieldError]:
    if spec.terminationGracePeriodSeconds is None:
        yield required("spec.terminationGracePeriodSeconds")
    yield from rules.not_negative("spec.terminationGracePeriodSeconds", spec.terminationGracePeriodSeconds)
    deadline = spec.activeDeadlineSeconds
    if deadline is not None:
        problems = names.in_range(deadline, 1, rules.LARGEST_INT32)
        yield from invalids("spec.activeDeadlineSeconds", deadline, problems)


def _dns(config: PodDNSConfig | None, policy: str | None, path: str) -> Iterator[FieldError]:
    if policy == "None" and config is None:
        yield required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
    if config is None:
        return
    if policy == "None" and not config.nameservers:
        why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        yield required(f"{path}.nameservers", why)
    if len(config.nameservers) > MAX_NAMESERVERS:
        why = f"must not have more than {MAX_NAMESERVERS} nameservers"
        yield invalid(f"{path}.nameservers", config.nameservers, why)
    for index, server in enumerate(config.nameservers):
        yield from rules.ip_address(f"{path}.nameservers[{index}]", server)
    if len(config.searches) > MAX_SEARCHES:
        yield invalid(
            f"{path}.searches", config.searches, f"must not have more than {MAX_SEARCHES} search paths"
        )
    if len(" ".join(config.searches)) > MAX_SEARCH_CHARACTERS:
        why = f"must not have more than {MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list"
        yield invalid(f"{path}.searches", config.searches, why)
    for index, search in enumerate(config.searches):
        if search != ".":
            problems = names.dns_subdomain_with_underscore(search.removesuffix("."))
            yield from invalids(f"{path}.searches[{index}]", search, problems)
    for index, option in enumerate(config.options):
        if not option.name:
            yield required(f"{path}.options[{index}]", "must not be empty")
        # Each option is a word on one line of resolv.conf.
        for field, text in (("name", option.name), ("value", option.value)):
            if text and (set(text) & set(" \t\r\n\0")):
                yield invalid(f"{path}.options[{index}].{field}", text, "must not contain whitespace")


def _host_aliases(spec: PodSpec) -> Iterator[FieldError]:
    for index, alias in enumerate(spec.hostAliases):
        path = f"spec.hostAliases[{index}]"
        yield from rules.ip_address(f"{path}.ip", alias.ip)
        for place, hostname in enumerate(alias.hostnames):
            yield from invalids(f"{path}.hostnames[{place}]", hostname, names.dns_subdomain(hostname))


def _resource_claims(spec: PodSpec) -> Iterator[FieldError]:
    seen = set()
    for index, claim in enumerate(spec.resourceClaims):
        path = f"spec.resourceClaims[{index}]"
        if claim.name and claim.name in seen:
            yield duplicate(f"{path}.name", claim.name)
        else:
            yield from rules.named(f"{path}.name", claim.name, names.dns_label)
        seen.add(claim.name)
        given = [claim.resourceClaimName, claim.resourceClaimTemplateName]
        if all(one is not None for one in given):
            why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            yield invalid(path, claim.name, why)
        elif not any(one is not None for one in given):
            why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            yield invalid(path, claim.name, why)
