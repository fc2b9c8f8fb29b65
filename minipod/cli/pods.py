"""What the verbs on containers share: which pod, which container, what became of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from minipod.cli.errors import CommandError
from minipod.cli.selection import parse_targets
from minipod.cli.session import Session

Obj = dict[str, Any]

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

GROUPS = (
    ("containers", ""),
    ("initContainers", " (init)"),
    ("ephemeralContainers", " (ephem)"),
)


def pod_name(session: Session, word: str) -> str:
    """`web` or `pod/web`. Raises CommandError for another type."""
    if "/" not in word:
        return word
    target = parse_targets([word], session.discovery.find_all)[0]
    if target.resource.kind != "Pod":
        raise CommandError(f'"{word}" is a {target.resource.kind}; this command takes a pod')
    return target.names[0]


def get_pod(session: Session, name: str) -> Obj:
    pod: Obj = session.api.get(session.discovery.find("pods").path(session.current_namespace, name))
    return pod


def container_names(
    pod: Obj, groups: Sequence[str] = ("initContainers", "containers", "ephemeralContainers")
) -> list[str]:
    """Names in the order in which the containers start."""
    return [container["name"] for group in groups for container in pod["spec"].get(group) or ()]


def status_of(pod: Obj, container: str) -> Obj:
    """What is on record of a container of any sort; {} for nothing."""
    status = pod.get("status") or {}
    groups = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    every = (one for group in groups for one in status.get(group) or ())
    return next((one for one in every if one["name"] == container), {})


def choose_container(pod: Obj, wanted: str, *, quiet: bool = False) -> str:
    """The container asked for, or the pod's default one; says so when there were others. Raises CommandError."""
    names = container_names(pod)
    if wanted:
        if wanted not in names:
            raise CommandError(
                f"container {wanted} is not valid for pod {pod['metadata']['name']}; it has {', '.join(names)}"
            )
        return wanted
    annotated = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER)
    if annotated in names:
        return str(annotated)
    chosen = str(pod["spec"]["containers"][0]["name"])
    if len(names) > 1 and not quiet:
        others = [c["name"] + mark for group, mark in GROUPS for c in pod["spec"].get(group) or ()]
        print(f'Defaulted container "{chosen}" out of: {", ".join(others)}', file=sys.stderr)
    return chosen
