"""A real node without HTTP: store, registry, in-process client, runtime, network, images and kubelet."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from minipod.api import codec, core_v1
from minipod.api.errors import StatusError
from minipod.api.scheme import EVENTS, NAMESPACES, NODES, PODS
from minipod.apiserver.inprocess import LocalRequests
from minipod.apiserver.registry.registry import Registry
from minipod.client.inprocess import InProcessClient
from minipod.client.node import LogRequest, ProxyRequest, StreamRequest
from minipod.images.store import ImageStore
from minipod.kubelet.backoff import BackOffPolicy
from minipod.kubelet.host_facts import read_host_facts
from minipod.kubelet.kubelet import Kubelet
from minipod.kubelet.node_status import node_labels
from minipod.kubelet.settings import CgroupEnforcement, NodeSettings
from minipod.linux.cgroup2 import cgroup
from minipod.network.pod_network import NetworkConfig, PodNetwork
from minipod.runtime.service import RuntimeService
from minipod.storage.store import Store
from tests.helpers.wait import SLOWNESS

T = TypeVar("T")

PATIENCE = 15.0 * SLOWNESS
"""Seconds a condition may take to come true."""

FOREVER = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"


class Node:
    """One node below `workdir`, with names made of `word`; keywords are NodeSettings that differ."""

    def __init__(self, workdir: Path, word: str, **settings: Any) -> None:
        self.workdir = workdir
        self.word = word
        self._changes = settings
        self.registry: Registry
        self.client: InProcessClient
        self.runtime: RuntimeService
        self.network: PodNetwork
        self.images: ImageStore
        self.kubelet: Kubelet

    def settings(self) -> NodeSettings:
        root = cgroup.mount_point()
        parent = self._changes.get("cgroup_parent", self.word)
        host = read_host_facts(cgroup_root=root, cgroup_parent=parent, data_dir=self.workdir)
        facts: dict[str, Any] = {
            "node_name": self.word,
            "host_ip": "192.0.2.1",
            "data_dir": self.workdir / "data",
            "run_dir": self.workdir / "run",
            "log_dir": self.workdir / "log",
            "cgroup_root": root,
            "cgroup_parent": self.word,
            "host": host,
            "labels": node_labels(host, self.word, {}),
            "enforcement": CgroupEnforcement.BEST_EFFORT,
            "crash_loop": BackOffPolicy(initial=0.2, maximum=1.0, reset=600.0),
            "image_retry": BackOffPolicy(initial=0.5, maximum=2.0),
        }
        return NodeSettings(**{**facts, **self._changes})

    async def start(self) -> None:
        settings = self.settings()
        for path in (settings.data_dir, settings.run_dir):
            path.mkdir(parents=True, exist_ok=True)
        self.store = Store(settings.data_dir / "state.db", [NAMESPACES, NODES, PODS, EVENTS])
        await self.store.start()
        self.registry = Registry(self.store)
        await self.registry.start()
        self.client = InProcessClient(LocalRequests(self.registry))
        self.images = ImageStore(settings.data_dir / "images")
        await self.images.start()
        self.network = PodNetwork(
            NetworkConfig(
                bridge=self.word,
                pod_cidr="10.8.0.0/24",
                nft_table=self.word,
                state_dir=settings.data_dir / "network",
            )
        )
        await self.network.start()
        self.runtime = RuntimeService(
            run_dir=settings.run_dir, data_dir=settings.data_dir, cgroup_root=settings.cgroup_root
        )
        await self.runtime.start()
        self.kubelet = Kubelet(
            settings=settings,
            client=self.client,
            runtime=self.runtime,
            network=self.network,
            images=self.images,
        )
        await self.kubelet.start()

    async def stop(self) -> None:
        """The daemon's end; pods live on."""
        await self.kubelet.stop()
        await self._stop_mechanisms()

    async def _stop_mechanisms(self) -> None:
        await self.runtime.stop()
        await self.network.stop()
        await self.images.stop()
        await self.registry.stop()
        await self.store.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def restart_after_kubelet(self) -> None:
        """A restart of a node whose kubelet has been stopped already."""
        await self._stop_mechanisms()
        await self.start()

    async def end(self) -> None:
        """Leave nothing."""
        for pod in (await self.client.list(PODS)).items:
            await self.delete(pod.metadata.name, grace=0)
        await self.until(lambda: not self.runtime.sandboxes(), "sandboxes to go")
        await self.network.destroy()
        await self.stop()
        group = cgroup.mount_point() / self.word
        if group.exists():
            cgroup.remove(group)

    def base_root(self) -> Path:
        """A directory with the root file system of minipod/base."""
        root = self.workdir / "base"
        if not root.exists():
            make_base(root)
        return root

    # -- the API ---------------------------------------------------------------------------------------------------

    async def create(self, name: str, *containers: dict[str, Any], **spec: Any) -> core_v1.Pod:
        """A Pod on this node; without containers it has one that runs for ever."""
        body = {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": self.word, "containers": list(containers) or [container()], **spec},
        }
        made: core_v1.Pod = await self.client.create(PODS, codec.from_builtins(core_v1.Pod, body))
        return made

    async def delete(self, name: str, *, grace: int | None = None) -> None:
        try:
            await self.client.delete(PODS, name, "default", grace_period_seconds=grace)
        except StatusError as error:
            if error.code != 404:
                raise

    async def get(self, name: str) -> core_v1.Pod:
        found: core_v1.Pod = await self.client.get(PODS, name, "default")
        return found

    async def update(self, pod: core_v1.Pod, *, subresource: str = "") -> core_v1.Pod:
        """Write a changed copy, whatever the node has written of the pod since it was read."""
        pod.metadata.resourceVersion = None
        updated: core_v1.Pod = await self.client.update(PODS, pod, subresource=subresource)
        return updated

    async def gone(self, name: str) -> None:
        async def look() -> bool:
            try:
                await self.get(name)
            except StatusError as error:
                return error.code == 404
            return False

        await self.until(look, f"pod {name} to go")

    async def wait(self, name: str, condition: Callable[[core_v1.Pod], Any], what: str = "") -> core_v1.Pod:
        """The Pod, once `condition` is true of it."""
        found: core_v1.Pod | None = None

        async def look() -> bool:
            nonlocal found
            found = await self.get(name)
            return bool(condition(found))

        await self.until(look, lambda: f"pod {name} {what}: {found and codec.encode(found.status).decode()}")
        assert found is not None
        return found

    async def ready(self, name: str) -> core_v1.Pod:
        return await self.wait(name, is_ready, "to be ready")

    async def phase(self, name: str, phase: str) -> core_v1.Pod:
        return await self.wait(name, lambda p: p.status.phase == phase, f"to be {phase}")

    async def events(self, name: str) -> list[core_v1.Event]:
        listed = await self.client.list(EVENTS, "default")
        return [e for e in listed.items if e.involvedObject.name == name]

    async def event(self, name: str, reason: str) -> core_v1.Event:
        """Wait for an event about the pod."""
        found: list[core_v1.Event] = []

        async def look() -> bool:
            found[:] = [e for e in await self.events(name) if e.reason == reason]
            return bool(found)

        await self.until(look, f"event {reason} of {name}")
        return found[0]

    # -- the node --------------------------------------------------------------------------------------------------

    async def logs(self, name: str, **options: Any) -> str:
        request = LogRequest(namespace="default", pod=name, **options)
        pieces = [piece async for piece in await self.kubelet.connection.logs(request)]
        return b"".join(pieces).decode()

    async def exec(self, name: str, *command: str, **options: Any) -> tuple[int, str]:
        """(exit code, what it printed)."""
        request = StreamRequest(namespace="default", pod=name, command=command, **options)
        streams = await self.kubelet.connection.exec(request)
        output = b""
        try:
            while (piece := await streams.read()) is not None:
                output += piece[1]
            exit_ = await streams.wait()
        finally:
            await streams.close()
        return exit_.code, output.decode() + exit_.message

    async def proxy(self, method: str, path: str, body: bytes | None = None, **query: str) -> Any:
        async def pieces() -> Any:
            yield body

        request = ProxyRequest(
            method=method, path=path, query=query, body=pieces() if body is not None else None
        )
        answer = await self.kubelet.connection.proxy(request)
        return codec.parse(answer.body)

    async def text(self, path: str) -> str:
        """A page of the node that is no JSON."""
        request = ProxyRequest(method="GET", path=path, query={}, body=None)
        return (await self.kubelet.connection.proxy(request)).body.decode()

    async def output(
        self, name: str, script: str, *, fields: dict[str, Any] | None = None, **spec: Any
    ) -> str:
        """Run a script to its end in a pod of its own; what it printed."""
        await self.create(name, container(script, **(fields or {})), restartPolicy="Never", **spec)
        await self.phase(name, "Succeeded")
        return await self.logs(name)

    async def until(self, condition: Callable[[], Any], what: str | Callable[[], str]) -> None:
        """Wait until `condition()` (awaited if need be) is true."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    answer = condition()
                    if asyncio.iscoroutine(answer):
                        answer = await answer
                    if answer:
                        return
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what() if callable(what) else what}") from None


def container(script: str = FOREVER, name: str = "main", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "minipod/base", "command": ["sh", "-c", script], **fields}


def is_ready(pod: core_v1.Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)


def main_status(pod: core_v1.Pod) -> Any:
    """The first container's status; a blank one before there is any."""
    found = pod.status.containerStatuses
    return found[0] if found else core_v1.ContainerStatus(state=core_v1.ContainerState())


def make_base(root: Path) -> None:
    (root / "bin").mkdir(parents=True)
    for directory in ("etc", "proc", "sys", "dev", "tmp", "root", "home/app"):
        (root / directory).mkdir(parents=True)
    busybox = root / "bin" / "busybox"
    busybox.write_bytes(Path("/bin/busybox").read_bytes())
    busybox.chmod(0o755)
    for applet in subprocess.run(
        [busybox, "--list"], capture_output=True, text=True, check=True
    ).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc" / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n"
    )
    (root / "etc" / "group").write_text("root:x:0:\napp:x:1000:\nextra:x:2000:app\n")
