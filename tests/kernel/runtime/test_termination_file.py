"""The file for a container's last words, as the kubelet makes, mounts and reads it, around real containers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minipod.kubelet.containers.container_config import PodContext, container_rootfs, pod_context
from minipod.kubelet.containers.oci_mounts import container_mounts
from minipod.kubelet.containers.termination_message import make_file, read_termination_message
from minipod.kubelet.volumes.types import MountedVolume
from minipod.runtime.errors import StartError
from minipod.runtime.types import ContainerConfig, ContainerStatus
from tests.kernel.runtime.world import World
from tests.unit.kubelet.pods import image, one, pod, settings

UID = "pod-1"


class Kubelet:
    """Does with one container what the kubelet does."""

    def __init__(self, world: World, path: str = "/dev/termination-log", **fields: Any) -> None:
        self.world = world
        self.spec = one(**fields)
        self.spec.terminationMessagePath = path
        self.volumes: dict[str, MountedVolume] = {}
        made = pod()
        made.metadata.uid = UID
        self.context: PodContext = pod_context(
            made, settings(data_dir=world.workdir / "data", log_dir=world.workdir / "log")
        )

    async def config(self, *args: str, attempt: int = 0, **fields: Any) -> ContainerConfig:
        sandbox = self.world.service.status(UID) or await self.world.service.run_sandbox(
            self.world.sandbox()
        )
        file = make_file(self.context, self.spec, attempt)
        config = self.world.container(sandbox, *args, attempt=attempt, **fields)
        found = container_mounts(
            self.spec,
            self.volumes,
            {},
            etc_dir=Path("/nowhere"),
            shm=Path("/nowhere"),
            subpath_dir=Path("/nowhere"),
            termination_log=file,
        ).mounts
        sources = {str(file), *(str(v.path) for v in self.volumes.values())}
        mounts = [*config.oci["mounts"], *(m for m in found if m["source"] in sources)]
        layers = container_rootfs(self.context, "main", attempt, image())
        return replace(
            config,
            oci={**config.oci, "mounts": mounts},
            rootfs=replace(layers, lower=config.rootfs.lower),
        )

    async def run(self, *args: str, **fields: Any) -> ContainerStatus:
        config = await self.config(*args, **fields)
        await self.world.service.create_container(UID, config)
        return await self.world.ended(await self.world.service.start_container(UID, config.id))

    def message(self, attempt: int = 0) -> str:
        return read_termination_message(self.context, self.spec, attempt=attempt, failed=False)

    def volume(self, name: str = "v", *, read_only: bool = False) -> Path:
        path = self.world.workdir / name
        path.mkdir()
        self.volumes[name] = MountedVolume(name=name, kind="emptyDir", path=path, read_only=read_only)
        return path


NOBODY = {"user": {"uid": 65534, "gid": 65534}}


@pytest.mark.parametrize("process", [{}, NOBODY])
async def test_any_user_can_write_it_and_it_is_read_after_the_end(
    world: World, process: dict[str, Any]
) -> None:
    kubelet = Kubelet(world)
    ended = await kubelet.run("sh", "-c", "echo -n bye > /dev/termination-log", process=process)
    assert ended.exit is not None
    assert ended.exit.code == 0
    assert kubelet.message() == "bye"


async def test_a_container_cannot_put_anything_else_in_its_place(world: World) -> None:
    kubelet = Kubelet(world, path="/end")
    script = "rm /end; mv /end /x; ln -sf /etc/shadow /end; mkfifo /end; chmod 0 /end; echo -n bye >> /end"
    await kubelet.run("sh", "-c", script)
    assert kubelet.message() == "bye"


async def test_each_attempt_has_its_own_and_it_goes_with_the_attempt(world: World) -> None:
    kubelet = Kubelet(world)
    first = await kubelet.run("sh", "-c", "echo -n first > /dev/termination-log")
    second = await kubelet.run("true", attempt=1)
    assert [kubelet.message(0), kubelet.message(1)] == ["first", ""]
    await world.service.remove_container(UID, first.id)
    attempts = kubelet.context.pod_dir / "containers/main"
    assert [path.name for path in attempts.iterdir()] == ["1"]
    await world.service.remove_container(UID, second.id)
    assert not attempts.exists()


async def test_it_goes_with_the_sandbox(world: World) -> None:
    kubelet = Kubelet(world)
    await kubelet.run("true")
    await world.service.remove_sandbox(UID)
    assert list(kubelet.context.pod_dir.iterdir()) == []


async def test_a_layer_left_by_a_crash_goes_but_the_new_file_stays(world: World) -> None:
    kubelet = Kubelet(world)
    left = container_rootfs(kubelet.context, "main", 0, image()).upper
    left.mkdir(parents=True)
    (left / "old").touch()
    await kubelet.run("sh", "-c", "ls /old || echo -n fresh > /dev/termination-log")
    assert kubelet.message() == "fresh"


async def test_a_link_in_the_image_does_not_lead_out(world: World) -> None:
    outside = world.workdir / "outside"
    outside.mkdir()
    (world.image / "way").symlink_to(outside)
    kubelet = Kubelet(world, path="/way/end")
    await kubelet.run("sh", "-c", "echo -n bye > /way/end")
    assert kubelet.message() == "bye"
    assert list(outside.iterdir()) == []


async def test_inside_a_volume_it_covers_a_file_made_there(world: World) -> None:
    kubelet = Kubelet(world, path="/data/logs/end", volumeMounts=[{"name": "v", "mountPath": "/data"}])
    volume = kubelet.volume()
    await kubelet.run("sh", "-c", "echo -n bye > /data/logs/end; echo kept > /data/other")
    assert kubelet.message() == "bye"
    assert (volume / "logs/end").read_bytes() == b""
    assert (volume / "other").read_text() == "kept\n"


@pytest.mark.parametrize(
    ("path", "read_only", "reason"),
    [("/data", False, "directory"), ("/data/end", True, "read-only file system"), ("/", False, "")],
)
async def test_where_it_cannot_be_mounted_the_start_fails_and_says_where(
    world: World, path: str, read_only: bool, reason: str
) -> None:
    kubelet = Kubelet(world, path=path, volumeMounts=[{"name": "v", "mountPath": "/data"}])
    kubelet.volume(read_only=read_only)
    with pytest.raises(StartError) as caught:
        await kubelet.run("true")
    assert caught.value.failure.operand == path
    assert reason in caught.value.failure.message
