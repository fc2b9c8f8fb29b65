"""What a handler works on and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from minipod.api import core_v1
from minipod.kubelet.pod_names import AnyContainer
from minipod.runtime.streams import ProcessStreams
from minipod.runtime.types import ExecConfig, SandboxStatus


class Outcome(StrEnum):
    """How one run of a handler went."""

    SUCCESS = "success"
    FAILURE = "failure"
    WARNING = "warning"
    """A success that a user should hear of."""
    UNKNOWN = "unknown"
    """The handler itself could not do its work, which says nothing about the container."""


@dataclass(frozen=True, slots=True)
class HandlerResult:
    """`output` is what the peer or the command said, or a sentence about what went wrong; at most 10 KiB of it."""

    outcome: Outcome
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The running container that a handler is about. `pod_ip` may be "" while the pod has none."""

    pod: core_v1.Pod
    container: AnyContainer
    container_id: str
    pod_ip: str


class ExecRuntime(Protocol):
    """What exec handlers need of the runtime service."""

    def status(self, uid: str) -> SandboxStatus | None: ...

    async def exec(self, uid: str, container_id: str, config: ExecConfig) -> ProcessStreams: ...


MAX_OUTPUT = 10 * 1024
"""Bytes of a peer's or a command's output that are looked at, as in the kubelet."""


def failure(output: str) -> HandlerResult:
    return HandlerResult(Outcome.FAILURE, output)
