"""What a user and a node do in the tests of command lines."""

from __future__ import annotations

import json
from typing import Any

from minipod.api import core_v1
from minipod.api.scheme import PODS
from tests.unit.apiserver.serving import ServerThread
from tests.unit.cli.conftest import Cli, Done


def pod(name: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "app", "image": "minipod/base"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": containers, **spec},
    }


def apply(cli: Cli, *manifests: dict[str, Any], flags: tuple[str, ...] = ()) -> Done:
    return cli("apply", "-f", "-", *flags, stdin="\n---\n".join(map(json.dumps, manifests)))


def set_status(server: ServerThread, name: str, **status: Any) -> None:
    """What the kubelet would do."""

    async def change() -> None:
        found: core_v1.Pod = await server.local.get(PODS, name, "default")
        from minipod.api import codec

        new = codec.copy(found)
        new.status = codec.from_builtins(core_v1.PodStatus, status)
        await server.local.update(PODS, new, subresource="status")

    server.call(change())


def bind(server: ServerThread, name: str) -> None:
    """From now on the pod is a node's, and its deletion waits for that."""

    async def act() -> None:
        found = await server.local.get(PODS, name, "default")
        await server.local.bind(found, "here")

    server.call(act())
