"""The Pod's own fields as text (the downward API), for environment variables.

https://kubernetes.io/docs/concepts/workloads/pods/downward-api/#available-fields
"""

from __future__ import annotations

import re

from minipod.api import core_v1

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")


class FieldPathError(ValueError):
    """A fieldPath that no environment variable can be made of."""


def field_value(pod: core_v1.Pod, path: str, *, pod_ip: str, host_ip: str) -> str:
    """The value of one field. An absent label or annotation is empty. Raises FieldPathError."""
    meta, spec = pod.metadata, pod.spec
    if subscript := _SUBSCRIPT.fullmatch(path):
        values = meta.labels if subscript[1] == "labels" else meta.annotations
        return values.get(subscript[2], "")
    known = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": spec.nodeName,
        "spec.serviceAccountName": spec.serviceAccountName,
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
    }
    if path not in known:
        raise FieldPathError(f"unsupported fieldPath: {path}")
    return known[path] or ""
