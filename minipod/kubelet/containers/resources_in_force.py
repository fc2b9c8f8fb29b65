"""What cpu and memory a container was started with or last given, as its labels record it.

The comparison of a resize starts from this, not from the spec, so that a daemon that died in the middle of one goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from minipod.api import codec, core_v1
from minipod.api.pod_resources import CPU, MEMORY

LABEL_RESOURCES = "minipod.io/resources"
"""Container label: what the container was given, as recorded() writes it."""

RESIZABLE = (CPU, MEMORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The latest attempt at a container and what it has, or had when it ran."""

    id: str
    resources: core_v1.ResourceRequirements
    memory_usage: int | None = None
    """Bytes now; None when not known, then nothing is checked."""
    running: bool = True
    """One that has ended is not changed, but starts again with what it had while a resize is pending."""


def recorded(resources: core_v1.ResourceRequirements | None) -> str:
    """The text of LABEL_RESOURCES for a container that is started with these resources."""
    return codec.encode(resizable(resources)).decode()


def in_force(
    container_id: str,
    labels: Mapping[str, str],
    *,
    running: bool = True,
    memory_usage: int | None = None,
) -> InForce | None:
    """From a container's labels; None for one that was started before its resources were recorded."""
    text = labels.get(LABEL_RESOURCES)
    if text is None:
        return None
    try:
        resources = msgspec.json.decode(text, type=core_v1.ResourceRequirements)
    except msgspec.DecodeError:
        return None
    return InForce(id=container_id, resources=resources, memory_usage=memory_usage, running=running)


def resizable(resources: core_v1.ResourceRequirements | None) -> core_v1.ResourceRequirements:
    own = resources or core_v1.ResourceRequirements()
    return core_v1.ResourceRequirements(
        limits={name: text for name, text in own.limits.items() if name in RESIZABLE},
        requests={name: text for name, text in own.requests.items() if name in RESIZABLE},
    )
