"""The other parts a pod worker works with, as small as they can be."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from minipod.api import codec, core_v1
from minipod.api.errors import StatusError
from minipod.images.types import Image
from minipod.network.types import Attachment


class FakeNetwork:
    """Hands out addresses; `fail` is raised by the next attach."""

    def __init__(self) -> None:
        self.fail: Exception | None = None
        self._attached: dict[str, Attachment] = {}

    def attachment(self, uid: str) -> Attachment | None:
        return self._attached.get(uid)

    async def attach(self, uid: str, netns_path: Path, ports: Any = ()) -> Attachment:
        await asyncio.sleep(0)
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        found = Attachment(
            uid=uid,
            ip="10.0.0.2",
            prefix_len=24,
            gateway="10.0.0.1",
            mac="",
            mtu=1500,
            bridge="b",
            host_interface="v",
            host_ifindex=1,
            ifindex=2,
        )
        self._attached[uid] = found
        return found

    async def detach(self, uid: str) -> None:
        self._attached.pop(uid, None)


class FakeImages:
    """Every name in `present` is an image without users."""

    def __init__(self, root: Path, *present: str) -> None:
        self.present = set(present)
        self._root = root

    def resolve(self, name: str) -> Image | None:
        if name not in self.present:
            return None
        return Image(
            id="sha256:1",
            digest="sha256:2",
            layers=(self._root,),
            size=1,
            created_at=0,
            config={"Cmd": ["x"]},
        )


class RecordingClient:
    """Keeps what was written. `fail` is raised by the next update, a `broken` one fails for ever."""

    def __init__(self) -> None:
        self.statuses: list[core_v1.PodStatus] = []
        self.deleted: list[str] = []
        self.fail: StatusError | None = None
        self.broken = False

    async def update(self, resource: Any, obj: Any, *, subresource: str = "") -> Any:
        await asyncio.sleep(0)
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        if self.broken:
            raise StatusError(500, "InternalError", "disk full")
        self.statuses.append(codec.copy(obj.status))
        return obj

    async def delete(self, resource: Any, name: str, namespace: str = "", **_: Any) -> Any:
        self.deleted.append(name)


class RecordingEvents:
    """Keeps (reason, message)."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def pod_event(self, pod: Any, type_: str, reason: str, message: str, *, container: str = "") -> None:
        self.said.append((reason, message))

    def node_event(self, node_name: str, type_: str, reason: str, message: str) -> None:
        self.said.append((reason, message))

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.said]
