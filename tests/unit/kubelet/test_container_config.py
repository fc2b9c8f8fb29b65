"""The whole of what the runtime is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minipod.api import core_v1
from minipod.kubelet.containers.container_config import (
    ContainerRequest,
    container_config,
    exec_process,
    pod_context,
    sandbox_config,
    stop_signal_name,
)
from minipod.kubelet.containers.process import CreateContainerConfigError, ProcessUser
from minipod.kubelet.status.records import LABEL_IMAGE_ID, LABEL_RESTART_DELAY
from minipod.kubelet.volumes.manager import plan_volumes
from minipod.kubelet.volumes.types import PodVolumes
from minipod.runtime.types import ContainerConfig, NamespaceMode, SandboxConfig, SubPathMount
from tests.unit.kubelet.pods import UID, container, image, pod, settings

POD_DIR = Path("/data/pods") / UID
SHARED = Path("/run/mp/shared") / UID


def sandbox(made: core_v1.Pod, **node: Any) -> SandboxConfig:
    context = pod_context(made, settings(**node))
    volumes = plan_volumes(made, context.pod_dir, context.settings)
    return sandbox_config(made, attempt=2, context=context, volumes=volumes)


def config(made: core_v1.Pod, **image_config: Any) -> ContainerConfig:
    context = pod_context(made, settings())
    request = ContainerRequest(
        container=made.spec.containers[0],
        image=image(**{"Cmd": ["sh"], **image_config}),
        user=ProcessUser(uid=0, gid=0, home="/root"),
        id="c0ffee",
        attempt=3,
        delay=20.0,
        infra_pid=4711,
        pod_ip="10.0.0.2",
    )
    volumes = plan_volumes(made, context.pod_dir, context.settings)
    return container_config(
        made, request, context=context, volumes=volumes, host_devices=lambda: [{"path": "/dev/kvm"}]
    )


def oci(made: core_v1.Pod, **image_config: Any) -> dict[str, Any]:
    return dict(config(made, **image_config).oci)


def namespaces(made: core_v1.Pod) -> dict[str, str]:
    return {n["type"]: n.get("path", "new") for n in oci(made)["linux"]["namespaces"]}


def mounts(made: core_v1.Pod) -> dict[str, dict[str, Any]]:
    return {m["destination"]: m for m in oci(made)["mounts"]}


# -- the sandbox ---------------------------------------------------------------------------------------------------


def test_a_plain_sandbox() -> None:
    found = sandbox(pod())
    assert (found.uid, found.name, found.namespace, found.attempt) == (UID, "web", "default", 2)
    assert found.hostname == "web"
    assert found.cgroup == f"minipod/besteffort/pod{UID}"
    assert (found.network, found.ipc, found.pid) == (
        NamespaceMode.POD,
        NamespaceMode.POD,
        NamespaceMode.CONTAINER,
    )
    (shm,) = found.mounts
    assert shm.target == SHARED / "shm"
    assert {"mode=1777", "nosuid", "nodev", "noexec"} <= set(shm.options.split(","))
    assert found.resources == {"cpu.weight": "1"}


@pytest.mark.parametrize(
    ("spec", "field", "mode"),
    [
        ({"hostNetwork": True}, "network", NamespaceMode.NODE),
        ({"hostIPC": True}, "ipc", NamespaceMode.NODE),
        ({"hostPID": True}, "pid", NamespaceMode.NODE),
        ({"shareProcessNamespace": True}, "pid", NamespaceMode.POD),
    ],
)
def test_namespaces_the_pod_does_not_want_for_itself(
    spec: dict[str, Any], field: str, mode: NamespaceMode
) -> None:
    found = sandbox(pod(**spec))
    assert getattr(found, field) is mode
    assert found.hostname == ("thehost" if "hostNetwork" in spec else "web")
    assert bool(found.mounts) is ("hostIPC" not in spec)  # the host's /dev/shm goes with its ipc namespace


def test_sysctls_and_memory_volumes() -> None:
    found = sandbox(
        pod(
            container(volumeMounts=[{"name": "m", "mountPath": "/m"}]),
            securityContext={"sysctls": [{"name": "net/ipv4/tcp_rmem", "value": "1"}], "fsGroup": 9},
            volumes=[{"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "2Mi"}}],
        )
    )
    assert found.sysctls == {"net.ipv4.tcp_rmem": "1"}
    assert found.mounts[1].target == POD_DIR / "volumes/kubernetes.io~empty-dir/m"
    assert found.mounts[1].options == f"mode=2777,size={2 << 20},gid=9"


def test_a_pod_that_cannot_have_a_host_name_still_has_a_place() -> None:
    context = pod_context(pod(name="a" * 60, subdomain="s", setHostnameAsFQDN=True), settings())
    assert "is too long" in context.problem
    assert context.pod_dir == POD_DIR


# -- the container -------------------------------------------------------------------------------------------------


def test_a_plain_container() -> None:
    found = config(pod(container(stdin=True, stdinOnce=True, tty=True)))
    assert (found.name, found.attempt, found.id) == ("main", 3, "c0ffee")
    assert found.rootfs.lower == (Path("/images/top"), Path("/images/bottom"))
    assert found.rootfs.upper == POD_DIR / "containers/main/3/upper"
    assert found.log_path == Path("/log") / f"default_web_{UID}/main/3.log"
    assert (found.stdin, found.stdin_once, found.tty) == (True, True, True)
    assert found.labels[LABEL_IMAGE_ID] == image().id
    assert found.labels[LABEL_RESTART_DELAY] == "20"


def test_the_process() -> None:
    made = pod(
        container(
            command=["run"],
            args=["$(X)"],
            env=[{"name": "X", "value": "1"}],
            workingDir="/w",
            resources={"requests": {"memory": "4Gi"}},
            securityContext={"allowPrivilegeEscalation": False},
        )
    )
    process = oci(made, Env=["PATH=/bin"])["process"]
    assert process["args"] == ["run", "1"]
    assert process["cwd"] == "/w"
    assert process["env"] == ["PATH=/bin", "HOSTNAME=web", "X=1", "HOME=/root"]
    assert process["noNewPrivileges"] is True
    assert process["oomScoreAdj"] == 500
    assert process["user"] == {"uid": 0, "gid": 0, "additionalGids": []}


def test_containers_join_the_infra_process() -> None:
    assert namespaces(pod()) == {
        "network": "/proc/4711/ns/net",
        "uts": "/proc/4711/ns/uts",
        "ipc": "/proc/4711/ns/ipc",
        "pid": "new",
        "mount": "new",
        "cgroup": "new",
    }


@pytest.mark.parametrize(
    ("spec", "left_out"),
    [
        ({"hostNetwork": True}, {"network", "uts"}),
        ({"hostIPC": True}, {"ipc"}),
        ({"hostPID": True}, {"pid"}),
    ],
)
def test_a_host_namespace_is_left_out(spec: dict[str, Any], left_out: set[str]) -> None:
    assert {"network", "uts", "ipc", "pid", "mount", "cgroup"} - set(namespaces(pod(**spec))) == left_out


def test_a_shared_process_namespace_is_the_infra_processes() -> None:
    assert namespaces(pod(shareProcessNamespace=True))["pid"] == "/proc/4711/ns/pid"


def test_a_privileged_container() -> None:
    made = pod(container(securityContext={"privileged": True}))
    linux = oci(made)["linux"]
    assert linux["maskedPaths"] == linux["readonlyPaths"] == []
    assert linux["devices"] == [{"path": "/dev/kvm"}]
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert "cgroup" not in namespaces(made)
    assert "ro" not in mounts(made)["/sys"]["options"]
    assert "ro" not in mounts(made)["/sys/fs/cgroup"]["options"]


def test_others_have_no_devices_and_a_read_only_sys() -> None:
    made = pod()
    assert oci(made)["linux"]["devices"] == []
    assert "ro" in mounts(made)["/sys"]["options"]
    assert "ro" in mounts(made)["/sys/fs/cgroup"]["options"]


def test_the_files_of_the_pod_are_mounted() -> None:
    found = mounts(pod())
    for name in ("hosts", "hostname", "resolv.conf"):
        assert found[f"/etc/{name}"]["source"] == str(SHARED / name)
        assert "rw" in found[f"/etc/{name}"]["options"]
    assert found["/dev/shm"]["source"] == str(SHARED / "shm")
    assert {"nosuid", "nodev", "noexec"} <= set(found["/dev/shm"]["options"])
    assert mounts(pod(hostIPC=True))["/dev/shm"]["source"] == "/dev/shm"
    readonly = mounts(pod(container(securityContext={"readOnlyRootFilesystem": True})))
    assert "ro" in readonly["/etc/hosts"]["options"]


def test_system_mounts_come_in_an_order_that_can_be_made() -> None:
    order = list(mounts(pod()))
    assert order[:6] == ["/proc", "/dev", "/dev/pts", "/dev/mqueue", "/sys", "/sys/fs/cgroup"]


def volume_pod(*volume_mounts: dict[str, Any], **fields: Any) -> core_v1.Pod:
    return pod(
        container(volumeMounts=list(volume_mounts), **fields),
        volumes=[{"name": "v", "emptyDir": {}}, {"name": "h", "hostPath": {"path": "/srv/h"}}],
    )


def test_volumes_are_bound_where_the_container_wants_them() -> None:
    found = mounts(
        volume_pod(
            {"name": "v", "mountPath": "/cache/"},
            {"name": "h", "mountPath": "data", "readOnly": True, "mountPropagation": "HostToContainer"},
        )
    )
    assert found["/cache"]["source"] == str(POD_DIR / "volumes/kubernetes.io~empty-dir/v")
    assert found["/cache"]["options"] == ["rbind", "rprivate", "rw"]
    assert found["/data"]["source"] == "/srv/h"
    assert found["/data"]["options"] == ["rbind", "rslave", "ro"]


def test_read_only_may_be_meant_for_all_below() -> None:
    found = mounts(
        volume_pod({"name": "v", "mountPath": "/c", "readOnly": True, "recursiveReadOnly": "Enabled"})
    )
    assert found["/c"]["options"][-1] == "rro"


def test_a_volume_replaces_what_would_be_there() -> None:
    found = oci(volume_pod({"name": "v", "mountPath": "/dev/shm"}, {"name": "v", "mountPath": "/etc/hosts"}))
    places = [m["destination"] for m in found["mounts"]]
    assert places.count("/dev/shm") == places.count("/etc/hosts") == 1
    assert mounts(volume_pod({"name": "v", "mountPath": "/dev/shm"}))["/dev/shm"]["source"].endswith("/v")


def test_parents_are_mounted_before_what_is_below_them() -> None:
    made = volume_pod({"name": "v", "mountPath": "/a/b/c"}, {"name": "h", "mountPath": "/a"})
    places = list(mounts(made))
    assert places.index("/a") < places.index("/a/b/c")


def test_a_subpath_is_resolved_by_the_runtime() -> None:
    made = volume_pod(
        {"name": "v", "mountPath": "/x", "subPath": "one/two"},
        {"name": "h", "mountPath": "/y", "subPathExpr": "$(WHO)/z"},
        env=[{"name": "WHO", "value": "me"}],
    )
    target = POD_DIR / "volume-subpaths/main/3"
    found = config(made)
    assert found.subpaths == (
        SubPathMount(
            volume=POD_DIR / "volumes/kubernetes.io~empty-dir/v", subpath="one/two", target=target / "0"
        ),
        SubPathMount(volume=Path("/srv/h"), subpath="me/z", target=target / "1"),
    )
    assert mounts(made)["/x"]["source"] == str(target / "0")


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ({"subPathExpr": "$(NOBODY)"}, "missing value for NOBODY"),
        ({"subPathExpr": "$(EMPTY)"}, "missing value for EMPTY"),
        ({"subPathExpr": "$(ABS)"}, "must not be an absolute path"),
        ({"subPathExpr": "$(UP)/x"}, "must not contain '..'"),
        ({"subPath": "a/../../b"}, "must not contain '..'"),
    ],
)
def test_a_subpath_that_cannot_be_used(mount: dict[str, Any], message: str) -> None:
    env = [{"name": "ABS", "value": "/etc"}, {"name": "UP", "value": ".."}, {"name": "EMPTY", "value": ""}]
    with pytest.raises(CreateContainerConfigError, match=message):
        config(volume_pod({"name": "v", "mountPath": "/x", **mount}, env=env))


def test_a_volume_that_is_not_there() -> None:
    made = pod(container(volumeMounts=[{"name": "gone", "mountPath": "/x"}]))
    context = pod_context(made, settings())
    request = ContainerRequest(
        container=made.spec.containers[0],
        image=image(Cmd=["sh"]),
        user=ProcessUser(uid=0, gid=0),
        id="i",
        attempt=0,
        delay=0,
        infra_pid=1,
        pod_ip="",
    )
    with pytest.raises(CreateContainerConfigError, match='cannot find volume "gone"'):
        container_config(made, request, context=context, volumes=PodVolumes())


def test_an_exec_has_the_containers_world_and_its_own_command() -> None:
    labels = config(pod(container(env=[{"name": "X", "value": "1"}]))).labels
    process = exec_process(labels, ("ls", "-l"), tty=False)
    assert process["args"] == ["ls", "-l"]
    assert process["terminal"] is False
    assert "X=1" in process["env"]
    on_a_terminal = exec_process(labels, ("sh",), tty=True)
    assert on_a_terminal["terminal"] is True
    assert on_a_terminal["env"].count("TERM=xterm") == 1


@pytest.mark.parametrize("config_of_image", [{"Env": ["A=" + "x" * 600_000]}, {"StopSignal": "x" * 600_000}])
def test_an_image_cannot_make_more_of_a_container_than_its_pod_can_carry(
    config_of_image: dict[str, Any],
) -> None:
    with pytest.raises(CreateContainerConfigError) as caught:
        config(pod(), **config_of_image)
    message = str(caught.value)
    assert message.startswith("container main of image minipod/base: ")
    assert message.endswith(
        "at most 524288 are possible; shorten spec.containers[main] or the image's config"
    )


def test_a_large_environment_is_possible() -> None:
    assert len(config(pod(), Env=["A=" + "x" * 120_000, "B=" + "x" * 120_000]).labels) > 4


def test_the_document_is_json() -> None:
    assert json.loads(json.dumps(oci(pod())))["ociVersion"].startswith("1.")


@pytest.mark.parametrize(
    ("own", "of_image", "expected"),
    [(None, "SIGQUIT", "SIGQUIT"), ("SIGINT", "SIGQUIT", "SIGINT"), (None, "", "")],
)
def test_stop_signal(own: str | None, of_image: str, expected: str) -> None:
    spec = pod(container(**({"lifecycle": {"stopSignal": own}} if own else {}))).spec.containers[0]
    assert stop_signal_name(spec, image(**({"StopSignal": of_image} if of_image else {}))) == expected
