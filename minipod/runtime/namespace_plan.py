"""Which namespaces a container gets, from linux.namespaces of its OCI document. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minipod.linux.namespaces import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
)

FLAGS = {
    "pid": CLONE_NEWPID,
    "network": CLONE_NEWNET,
    "mount": CLONE_NEWNS,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "cgroup": CLONE_NEWCGROUP,
}
_FILES = {"network": "net", "mount": "mnt"}
"""Types whose file in /proc/PID/ns has another name."""


@dataclass(frozen=True, slots=True)
class NamespacePlan:
    """CLONE_NEW* masks and files: made by clone3, unshared in the child, joined through the infra pidfd, by path."""

    new: int
    unshare: int
    infra: int
    paths: tuple[tuple[int, str], ...]

    @property
    def own(self) -> int:
        """The flags of all namespaces that are not the host's."""
        joined = 0
        for flag, _path in self.paths:
            joined |= flag
        return self.new | self.unshare | self.infra | joined


def plan(namespaces: Iterable[Mapping[str, Any]], infra_pid: int) -> NamespacePlan:
    """Sort the namespaces of the document; a path /proc/<infra_pid>/ns/... stands for the infra process's pidfd.

    Raises ValueError for a type that is unknown or cannot be done, a double one, and a document without a mount
    namespace of its own.
    """
    new = unshare = infra = 0
    paths: list[tuple[int, str]] = []
    seen: set[str] = set()
    for entry in namespaces:
        kind, path = entry["type"], entry.get("path") or ""
        if kind not in FLAGS:
            raise ValueError(f"linux.namespaces: {kind} is not supported by this version of minipod")
        if kind in seen:
            raise ValueError(f"linux.namespaces: {kind} is listed twice")
        seen.add(kind)
        flag = FLAGS[kind]
        if path and infra_pid and path == f"/proc/{infra_pid}/ns/{_FILES.get(kind, kind)}":
            infra |= flag
        elif path:
            paths.append((flag, path))
        elif kind == "cgroup":
            # clone3 would root it at the parent's cgroup, not at the one the child is born in.
            unshare |= flag
        else:
            new |= flag
    if not new & CLONE_NEWNS:
        raise ValueError("linux.namespaces: a container needs a new mount namespace")
    return NamespacePlan(new, unshare, infra, tuple(paths))


def without(plan: NamespacePlan, flag: int) -> NamespacePlan:
    """The plan for all but one type (CLONE_NEW*), which comes from elsewhere."""
    paths = tuple((other, path) for other, path in plan.paths if other != flag)
    return NamespacePlan(plan.new & ~flag, plan.unshare & ~flag, plan.infra & ~flag, paths)
