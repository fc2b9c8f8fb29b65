"""Which part of the Pod schema this version of minipod acts on, as data, and what it says about the rest.

The table names what is honoured, so a field that Kubernetes adds tomorrow is reported without anyone thinking of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from minipod.api import core_v1
from minipod.api.defaults import (
    DEFAULT_SCHEDULER,
    DEFAULT_SERVICE_ACCOUNT,
    PULL_ALWAYS,
)
from minipod.api.priorities import BUILT_IN_CLASSES

NOT_ACTED_ON = "accepted but not acted on by this version of minipod"
NOT_LOOKED_UP = (
    "Always: not looked up in a registry in this version of minipod, a local image is used as it is"
)


@dataclass(frozen=True, slots=True)
class Only:
    """Honoured just for these values: what minipod does anyway (mostly Kubernetes' default)."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Prefixes:
    """A map of which only the keys that start so are honoured."""

    prefixes: tuple[str, ...]


ALL = None
"""The field with everything in it."""

Table = dict[str, Any]
"""Field name -> ALL, Only, Prefixes or the Table of what is inside (of each element, for a list)."""

_COMPUTE = ("cpu", "memory", "hugepages-")
_POD_RESOURCES: Table = {"limits": Prefixes(_COMPUTE), "requests": Prefixes(_COMPUTE)}
_OF_CONTAINERS = Prefixes((*_COMPUTE, "ephemeral-storage"))
_RESOURCES: Table = {"limits": _OF_CONTAINERS, "requests": _OF_CONTAINERS}
_SECCOMP: Table = {"type": Only(("Unconfined",))}

_HTTP_GET: Table = {"host": ALL, "httpHeaders": ALL, "path": ALL, "port": ALL, "scheme": ALL}
_PROBE: Table = {
    "exec": ALL,
    "failureThreshold": ALL,
    "grpc": {"port": ALL, "service": ALL},
    "httpGet": _HTTP_GET,
    "initialDelaySeconds": ALL,
    "periodSeconds": ALL,
    "successThreshold": ALL,
    "tcpSocket": ALL,
    "terminationGracePeriodSeconds": ALL,
    "timeoutSeconds": ALL,
}
_HOOK: Table = {"exec": ALL, "httpGet": _HTTP_GET, "sleep": ALL, "tcpSocket": ALL}

_CONTAINER: Table = {
    "args": ALL,
    "command": ALL,
    "env": {"name": ALL, "value": ALL, "valueFrom": {"fieldRef": ALL}},
    "image": ALL,
    "imagePullPolicy": ALL,
    "lifecycle": {"postStart": _HOOK, "preStop": _HOOK, "stopSignal": ALL},
    "livenessProbe": _PROBE,
    "name": ALL,
    "ports": ALL,
    "readinessProbe": _PROBE,
    "resizePolicy": ALL,
    "resources": _RESOURCES,
    "restartPolicy": ALL,
    "restartPolicyRules": ALL,
    "securityContext": {
        "allowPrivilegeEscalation": ALL,
        "capabilities": ALL,
        "privileged": ALL,
        "procMount": ALL,
        "readOnlyRootFilesystem": ALL,
        "runAsGroup": ALL,
        "runAsNonRoot": ALL,
        "runAsUser": ALL,
        "seccompProfile": _SECCOMP,
    },
    "startupProbe": _PROBE,
    "stdin": ALL,
    "stdinOnce": ALL,
    "terminationMessagePath": ALL,
    "terminationMessagePolicy": ALL,
    "tty": ALL,
    "volumeMounts": {
        "mountPath": ALL,
        "mountPropagation": Only(("None",)),
        "name": ALL,
        "readOnly": ALL,
        "recursiveReadOnly": ALL,
        "subPath": ALL,
        "subPathExpr": ALL,
    },
    "workingDir": ALL,
}

_EPHEMERAL_CONTAINER: Table = {**_CONTAINER, "targetContainerName": ALL}

_SPEC: Table = {
    "activeDeadlineSeconds": ALL,
    "automountServiceAccountToken": ALL,  # there is no token to mount or to leave out
    "containers": _CONTAINER,
    "dnsConfig": ALL,
    "dnsPolicy": ALL,
    "enableServiceLinks": ALL,  # there are no Services to link or to leave out
    "ephemeralContainers": _EPHEMERAL_CONTAINER,
    "hostAliases": ALL,
    "hostIPC": ALL,
    "hostNetwork": ALL,
    "hostPID": ALL,
    "hostUsers": Only((True,)),
    "hostname": ALL,
    "hostnameOverride": ALL,
    "initContainers": _CONTAINER,
    "nodeName": ALL,
    "nodeSelector": ALL,
    "os": {"name": Only(("linux",))},
    "preemptionPolicy": Only(("PreemptLowerPriority",)),
    "priority": ALL,
    "priorityClassName": Only(tuple(BUILT_IN_CLASSES)),
    "readinessGates": ALL,
    "resources": _POD_RESOURCES,
    "restartPolicy": ALL,
    "schedulerName": Only((DEFAULT_SCHEDULER,)),
    "schedulingGates": ALL,
    "securityContext": {
        "fsGroup": ALL,
        "fsGroupChangePolicy": ALL,
        "runAsGroup": ALL,
        "runAsNonRoot": ALL,
        "runAsUser": ALL,
        "seccompProfile": _SECCOMP,
        "supplementalGroups": ALL,
        "supplementalGroupsPolicy": ALL,
        "sysctls": ALL,
    },
    "serviceAccount": Only((DEFAULT_SERVICE_ACCOUNT,)),
    "serviceAccountName": Only((DEFAULT_SERVICE_ACCOUNT,)),
    "setHostnameAsFQDN": ALL,
    "shareProcessNamespace": ALL,
    "subdomain": ALL,
    "tolerations": {"effect": ALL, "key": ALL, "operator": ALL, "value": ALL},
    "terminationGracePeriodSeconds": ALL,
    "volumes": {
        "emptyDir": {"medium": Only(("", "Memory")), "mode": ALL, "sizeLimit": ALL},
        "hostPath": ALL,
        "name": ALL,
    },
}

_METADATA: Table = {
    "annotations": ALL,
    "creationTimestamp": ALL,
    "deletionGracePeriodSeconds": ALL,
    "deletionTimestamp": ALL,
    "finalizers": ALL,
    "generateName": ALL,
    "generation": ALL,
    "labels": ALL,
    "managedFields": ALL,
    "name": ALL,
    "namespace": ALL,
    "resourceVersion": ALL,
    "selfLink": ALL,
    "uid": ALL,
}

_HONOURED: dict[type, Table] = {
    core_v1.Pod: {"apiVersion": ALL, "kind": ALL, "metadata": _METADATA, "spec": _SPEC, "status": ALL}
}


def unimplemented(obj: Any) -> list[str]:
    """A warning for each set field that is valid Kubernetes and has no effect here; [] for kinds without a table.

    Values that ask for nothing (false, zero, empty, the default) do not warn.
    """
    table = _HONOURED.get(type(obj))
    if table is None:
        return []
    found = _walk(table, msgspec.to_builtins(obj), "")
    return [f"{path}: {NOT_ACTED_ON}" for path in found]


def unheeded_pull_policies(obj: Any) -> list[str]:
    """A warning for each imagePullPolicy Always of a Pod as its user wrote it, before defaults set the same."""
    if not isinstance(obj, core_v1.Pod):
        return []
    lists = {"initContainers": obj.spec.initContainers, "containers": obj.spec.containers}
    return [
        f"spec.{name}[{index}].imagePullPolicy: {NOT_LOOKED_UP}"
        for name, containers in lists.items()
        for index, container in enumerate(containers)
        if container.imagePullPolicy == PULL_ALWAYS
    ]


def _walk(table: Table, value: dict[str, Any], path: str) -> Iterator[str]:
    for key, item in value.items():
        inner = f"{path}.{key}" if path else key
        if key not in table:
            if item not in (None, False, 0, "", [], {}):
                yield inner
            continue
        yield from _judge(table[key], item, inner)


def _judge(rule: Table | Only | Prefixes | None, item: Any, path: str) -> Iterator[str]:
    if rule is ALL:
        return
    if isinstance(rule, Only):
        if item not in rule.values:
            yield path
    elif isinstance(rule, Prefixes):
        yield from (f"{path}[{key}]" for key in item if not key.startswith(rule.prefixes))
    elif isinstance(item, list):
        for index, element in enumerate(item):
            yield from _walk(rule, element, f"{path}[{index}]")
    else:
        yield from _walk(rule, item, path)
