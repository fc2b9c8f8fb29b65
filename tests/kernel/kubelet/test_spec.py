"""Fields of the spec whose effect only a running process shows."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.kubelet.node import Node, container, main_status


async def test_groups_of_the_image_are_kept_or_left_out(node: Node) -> None:
    user = {"securityContext": {"runAsUser": 1000}}
    merged = await node.output("merge", "id -G", fields=user, securityContext={"supplementalGroups": [7]})
    assert sorted(map(int, merged.split())) == [7, 1000, 2000]
    strict = await node.output(
        "strict",
        "id -G",
        fields=user,
        securityContext={"supplementalGroups": [7], "supplementalGroupsPolicy": "Strict"},
    )
    assert sorted(map(int, strict.split())) == [7, 1000]


async def test_the_home_of_the_user(node: Node) -> None:
    fields = {"securityContext": {"runAsUser": 1000}}
    assert await node.output("home", "echo $HOME; id -u; id -g", fields=fields) == "/home/app\n1000\n1000\n"


async def test_a_stop_signal_of_its_own(node: Node, tmp_path: Path) -> None:
    script = "trap 'echo int > /h/said; exit 0' INT; trap '' TERM; echo up; while :; do sleep 1000 & wait $!; done"
    await node.create(
        "signal",
        container(
            script, volumeMounts=[{"name": "h", "mountPath": "/h"}], lifecycle={"stopSignal": "SIGINT"}
        ),
        os={"name": "linux"},
        volumes=[{"name": "h", "hostPath": {"path": str(tmp_path)}}],
    )
    await node.ready("signal")
    await node.until(lambda: node.logs("signal"), "its traps to be set")
    await node.delete("signal")
    await node.gone("signal")
    assert (tmp_path / "said").read_text() == "int\n"


async def test_a_host_name_that_overrides_all(node: Node) -> None:
    assert await node.output("name", "hostname", hostnameOverride="other.name") == "other.name\n"


async def test_a_name_longer_than_a_host_name(node: Node) -> None:
    name = "a" * 62 + "-" + "b" * 20
    assert await node.output(name, "hostname") == "a" * 62 + "\n"


async def test_an_fqdn_too_long_for_the_kernel(node: Node) -> None:
    await node.create("a" * 50, subdomain="sub", setHostnameAsFQDN=True)
    event = await node.event("a" * 50, "FailedCreatePodSandBox")
    assert "is too long (64 characters is the max" in event.message


async def test_the_mode_of_an_empty_dir(node: Node) -> None:
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    volumes = [{"name": "v", "emptyDir": {"mode": 0o750}}]
    assert await node.output("mode", "stat -c %a /v", fields=mount, volumes=volumes) == "750\n"


async def test_a_memory_volume_with_a_group(node: Node) -> None:
    said = await node.output(
        "memory",
        "stat -c '%a %g' /v; df -k /v | tail -1; touch /v/f; stat -c %g /v/f",
        fields={
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "securityContext": {"runAsUser": 1000},
        },
        securityContext={"fsGroup": 4321},
        volumes=[{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}}],
    )
    lines = said.splitlines()
    assert lines[0] == "2777 4321"
    assert " 4096 " in lines[1]
    assert lines[2] == "4321"


async def test_volumes_are_not_in_the_hosts_mount_table(node: Node) -> None:
    await node.create(
        "hidden",
        container(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        volumes=[{"name": "v", "emptyDir": {"medium": "Memory"}}],
    )
    await node.ready("hidden")
    assert str(node.workdir) not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture
def mount_below(workdir: Path) -> Iterator[Path]:
    """A directory of the host with a file system mounted in it."""
    below = workdir / "host" / "below"
    below.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", below], check=True)
    yield workdir / "host"
    subprocess.run(["umount", below], check=True)


async def test_read_only_for_all_below(mount_below: Path, node: Node) -> None:
    fields = {
        "volumeMounts": [
            {"name": "h", "mountPath": "/a", "readOnly": True},
            {"name": "h", "mountPath": "/b", "readOnly": True, "recursiveReadOnly": "Enabled"},
        ]
    }
    said = await node.output(
        "rro",
        "touch /a/x 2>&1; touch /a/below/x && echo wrote; touch /b/below/y 2>&1; true",
        fields=fields,
        volumes=[{"name": "h", "hostPath": {"path": str(mount_below)}}],
    )
    assert said.count("Read-only file system") == 2
    assert "wrote" in said


async def test_a_volume_full_of_links_is_handed_over_and_removed_safely(node: Node, tmp_path: Path) -> None:
    """A container fills its volume with links to the host; neither fsGroup nor the clean-up may follow them."""
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    (secret / "file").touch(mode=0o600)
    script = f"ln -s {secret} /v/dir; ln -s {secret}/file /v/file; ln -s / /v/root; mkdir /v/d; exit 1"
    await node.create(
        "links",
        container(script, volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        restartPolicy="Never",
        volumes=[{"name": "v", "emptyDir": {}}],
        securityContext={"fsGroup": 4321},
    )
    uid = (await node.phase("links", "Failed")).metadata.uid
    pod_dir = node.settings().data_dir / "pods" / str(uid)
    await node.until(lambda: not os.listdir(pod_dir), "the pod's volumes to go")
    assert (secret / "file").exists()
    assert stat.S_IMODE(os.stat(secret).st_mode) == 0o700
    assert os.stat(secret / "file").st_gid != 4321


async def test_env_knows_the_pods_address(node: Node) -> None:
    env = [
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "BOTH", "value": "$(IP) on $(NODE)"},
    ]
    said = await node.output("env", "echo $BOTH; hostname -i", fields={"env": env})
    ip = (await node.get("env")).status.podIP
    assert said == f"{ip} on {node.word}\n{ip}\n"


@pytest.mark.parametrize("name", ["configMap", "secret"])
async def test_a_volume_of_a_kind_to_come_is_a_failed_mount(node: Node, name: str) -> None:
    await node.create(
        "later",
        container(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        volumes=[{"name": "v", name: {"name": "x"} if name == "configMap" else {"secretName": "x"}}],
    )
    event = await node.event("later", "FailedMount")
    assert f"volume type {name} is not supported" in event.message
    assert main_status(await node.get("later")).state.waiting.reason == "ContainerCreating"


async def test_containers_share_memory_and_queues(node: Node) -> None:
    await node.create("ipc", container(name="a"), container(name="b"))
    await node.ready("ipc")
    assert (await node.exec("ipc", "sh", "-c", "echo shared > /dev/shm/f", container="a"))[0] == 0
    assert await node.exec("ipc", "cat", "/dev/shm/f", container="b") == (0, "shared\n")
    code, line = await node.exec("ipc", "grep", " /dev/shm ", "/proc/self/mounts", container="b")
    assert code == 0
    assert {"nosuid", "nodev", "noexec"} <= set(line.split()[3].split(","))
