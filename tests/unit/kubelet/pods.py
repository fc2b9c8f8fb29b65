"""Pods and nodes as unit tests need them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minipod.api import codec, core_v1
from minipod.api.defaults import set_defaults
from minipod.images.types import Image
from minipod.kubelet.settings import HostFacts, NodeSettings

UID = "6b1f0c2e-3f57-4d0e-9a53-0f1d2f7f9a11"

ALL_CONTROLLERS = frozenset({"cpu", "memory", "pids", "hugetlb"})


def pod(
    *containers: Mapping[str, Any],
    name: str = "web",
    status: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **spec: Any,
) -> core_v1.Pod:
    """A defaulted Pod; `spec` are fields of its spec, without containers it has one named main."""
    found = codec.from_builtins(
        core_v1.Pod,
        {
            "metadata": {
                "name": name,
                "namespace": "default",
                "uid": UID,
                "generation": 1,
                **(metadata or {}),
            },
            "spec": {"containers": list(containers) or [container()], **spec},
            "status": dict(status or {}),
        },
    )
    set_defaults(found)
    return found


def container(name: str = "main", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "minipod/base", **fields}


def one(**fields: Any) -> core_v1.Container:
    """A container's spec by itself, defaulted."""
    return pod(container(**fields)).spec.containers[0]


def image(**config: Any) -> Image:
    return Image(
        id="sha256:" + "a" * 64,
        digest="sha256:" + "b" * 64,
        names=("docker.io/minipod/base:latest",),
        config=config,
        layers=(Path("/images/top"), Path("/images/bottom")),
        size=1,
        created_at=0,
    )


def host(**changes: Any) -> HostFacts:
    facts: dict[str, Any] = {
        "hostname": "thehost",
        "cpu_capacity_millis": 2000,
        "memory_capacity": 8 << 30,
        "controllers": ALL_CONTROLLERS,
        "capabilities": tuple(capability_names()),
        "architecture": "amd64",
    }
    return HostFacts(**{**facts, **changes})


def capability_names() -> tuple[str, ...]:
    from minipod.linux.capabilities import NAMES

    return NAMES


def settings(**changes: Any) -> NodeSettings:
    facts: dict[str, Any] = {
        "node_name": "node1",
        "host_ip": "192.0.2.1",
        "data_dir": Path("/data"),
        "run_dir": Path("/run/mp"),
        "log_dir": Path("/log"),
        "cgroup_root": Path("/sys/fs/cgroup"),
        "cgroup_parent": "minipod",
        "host": host(),
        "labels": {"kubernetes.io/hostname": "node1", "kubernetes.io/os": "linux"},
    }
    return NodeSettings(**{**facts, **changes})
