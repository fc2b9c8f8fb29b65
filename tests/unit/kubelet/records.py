"""What the runtime says of containers, written short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minipod.api import core_v1
from minipod.kubelet.status.records import (
    LABEL_HASH,
    LABEL_IMAGE,
    LABEL_IMAGE_ID,
    LABEL_RESTART_DELAY,
    container_hash,
)
from minipod.runtime.types import (
    ContainerState,
    ContainerStatus,
    ExitRecord,
    SandboxState,
    SandboxStatus,
    StartFailure,
)
from tests.unit.kubelet.pods import UID, one

SECOND = 1_000_000
NOW = 1_790_000_000 * SECOND


def _status(name: str, attempt: int, delay: float, hash_: str | None, **fields: Any) -> ContainerStatus:
    labels = {
        LABEL_HASH: container_hash(one(name=name)) if hash_ is None else hash_,
        LABEL_IMAGE: "minipod/base",
        LABEL_IMAGE_ID: "sha256:1",
        LABEL_RESTART_DELAY: f"{delay:g}",
    }
    return ContainerStatus(
        id=f"{name}-{attempt}",
        name=name,
        attempt=attempt,
        created_at=NOW,
        log_path=Path("/log"),
        labels=labels,
        **fields,
    )


def created(name: str = "main", attempt: int = 0, *, delay: float = 0) -> ContainerStatus:
    return _status(name, attempt, delay, None, state=ContainerState.CREATED)


def running(
    name: str = "main", attempt: int = 0, *, delay: float = 0, hash_: str | None = None
) -> ContainerStatus:
    return _status(name, attempt, delay, hash_, state=ContainerState.RUNNING, pid=1, started_at=NOW)


def ended(
    name: str = "main",
    attempt: int = 0,
    *,
    code: int = 0,
    delay: float = 0,
    ago: float = 0,
    ran: float = 1,
    oom: bool = False,
    failure: StartFailure | None = None,
    hash_: str | None = None,
) -> ContainerStatus:
    """Ended `ago` seconds before NOW after having run `ran` seconds."""
    finished = NOW - round(ago * SECOND)
    started = 0 if failure else finished - round(ran * SECOND)
    record = ExitRecord(
        code=code,
        signal=code - 128 if code > 128 else 0,
        started_at=started,
        finished_at=finished,
        oom_killed=oom,
    )
    return _status(
        name,
        attempt,
        delay,
        hash_,
        state=ContainerState.EXITED,
        started_at=started,
        exit=record,
        failure=failure,
    )


def sandbox(*containers: ContainerStatus, ready: bool = True, attempt: int = 0) -> SandboxStatus:
    return SandboxStatus(
        uid=UID,
        name="web",
        namespace="default",
        attempt=attempt,
        state=SandboxState.READY if ready else SandboxState.NOT_READY,
        created_at=NOW,
        shim_pid=1,
        infra_pid=2,
        cgroup="minipod/pod",
        containers=containers,
    )


def api_status(name: str = "main", *, restarts: int = 0, **fields: Any) -> core_v1.ContainerStatus:
    return core_v1.ContainerStatus(
        name=name, image="minipod/base", imageID="sha256:1", restartCount=restarts, **fields
    )
