from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from minipod.runtime import channel, types, wire
from minipod.runtime.errors import ProtocolError
from minipod.runtime.types import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    ExitRecord,
    NamespaceMode,
    OverlayRootfs,
    SandboxConfig,
    SandboxState,
    SandboxStatus,
    StartFailure,
    SubPathMount,
    TmpfsMount,
)

SANDBOX = SandboxConfig(
    uid="u-1",
    name="web",
    namespace="default",
    attempt=2,
    hostname="web",
    cgroup="minipod/u-1",
    pid=NamespaceMode.POD,
    sysctls={"net.core.somaxconn": "1024"},
    mounts=(TmpfsMount(target=Path("/x/shm"), options="size=1m"),),
    resources={"memory.max": "1048576"},
    labels={"a": "b"},
)
CONTAINER = ContainerConfig(
    name="main",
    attempt=0,
    id="c1",
    oci={"process": {"args": ["sh"], "env": []}, "root": {"path": "rootfs"}},
    rootfs=OverlayRootfs(lower=(Path("/l1"), Path("/l0")), upper=Path("/u"), work=Path("/w")),
    subpaths=(SubPathMount(volume=Path("/v"), subpath="a/b", target=Path("/t")),),
    log_path=Path("/log/0.log"),
    stdin=True,
)
STATUS = SandboxStatus(
    uid="u-1",
    name="web",
    namespace="default",
    attempt=2,
    state=SandboxState.READY,
    created_at=1,
    shim_pid=2,
    infra_pid=3,
    cgroup="minipod/u-1",
    containers=(
        ContainerStatus(
            id="c1",
            name="main",
            attempt=0,
            state=ContainerState.EXITED,
            created_at=1,
            started_at=2,
            exit=ExitRecord(code=137, signal=9, started_at=2, finished_at=3, oom_killed=True),
            log_path=Path("/log/0.log"),
            warnings=("one",),
        ),
        ContainerStatus(
            id="c2",
            name="other",
            attempt=0,
            state=ContainerState.EXITED,
            created_at=1,
            failure=StartFailure(stage="exec", errno=2, operand="/bin/nope", message="no such file"),
            log_path=Path("/log/0.log"),
        ),
    ),
)


@pytest.mark.parametrize("value", [SANDBOX, CONTAINER, STATUS], ids=lambda v: type(v).__name__)
def test_a_value_survives_the_wire(value: Any) -> None:
    assert wire.decode(type(value), wire.parse(wire.encode(value))) == value


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bogus": 1}, "SandboxConfig: unknown fields ['bogus']"),
        ({"uid": None}, "SandboxConfig.uid: expected str, got NoneType"),
        ({"attempt": True}, "SandboxConfig.attempt: expected int, got bool"),
        ({"network": "mars"}, "SandboxConfig.network: 'mars' is not a valid NamespaceMode"),
        ({"mounts": [{}]}, "TmpfsMount.target: missing"),
        ({"mounts": {}}, "SandboxConfig.mounts: expected list, got dict"),
        ({"labels": {"a": 1}}, "SandboxConfig.labels: expected str, got int"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], says: str) -> None:
    data = json.loads(wire.encode(SANDBOX)) | change
    with pytest.raises(ProtocolError) as caught:
        wire.decode(SandboxConfig, data)
    assert str(caught.value) == says


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="not JSON"):
        wire.parse(data)


def test_every_field_type_of_every_value_and_message_is_known() -> None:
    messages = [*channel.TO_SPAWNER, *channel.TO_SHIM, *channel.TO_DAEMON]
    values = [v for v in vars(types).values() if isinstance(v, type) and dataclasses.is_dataclass(v)]
    for cls in [*messages, *values]:
        with pytest.raises(ProtocolError):
            wire.decode(cls, {"no such field": 1})
