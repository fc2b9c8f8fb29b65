"""Whatever is wrong gets one clear message that names it, leaves no trace, and the daemon goes on serving."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.daemon import Daemon
from tests.helpers.manifests import container, pod

BAD_PODS: list[tuple[str, Any, str]] = [
    (
        "unknown field",
        pod("bad", {**container(), "imagee": "x"}),
        "spec.containers[0].imagee: unknown field, did you mean image?",
    ),
    (
        "wrong type",
        pod("bad", container(ports=[{"containerPort": "http"}])),
        "spec.containers[0].ports[0].containerPort",
    ),
    (
        "negative quantity",
        pod("bad", container(resources={"limits": {"memory": "-1Mi"}})),
        "spec.containers[0].resources.limits[memory]",
    ),
    ("bad quantity", pod("bad", container(resources={"limits": {"cpu": "lots"}})), "resources.limits"),
    (
        "request above limit",
        pod("bad", container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}})),
        "must be less than or equal to cpu limit",
    ),
    ("bad name", pod("Bad_Name"), "metadata.name"),
    ("bad container name", pod("bad", container(name="No_Label")), "spec.containers[0].name"),
    (
        "duplicate container",
        pod("bad", container(), container()),
        "spec.containers[1].name: Duplicate value",
    ),
    (
        "duplicate host port",
        pod(
            "bad",
            container(ports=[{"containerPort": 1, "hostPort": 5}, {"containerPort": 2, "hostPort": 5}]),
        ),
        "hostPort",
    ),
    (
        "no containers",
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": {"containers": []}},
        "spec.containers: Required value",
    ),
    (
        "missing volume",
        pod("bad", container(volumeMounts=[{"name": "v", "mountPath": "/v"}])),
        'spec.containers[0].volumeMounts[0].name: Not found: "v"',
    ),
    (
        "bad policy",
        pod("bad", restartPolicy="Sometimes"),
        'spec.restartPolicy: Unsupported value: "Sometimes"',
    ),
    ("unknown kind", {"apiVersion": "v1", "kind": "Podd", "metadata": {"name": "bad"}}, "Podd"),
    ("no kind", {"metadata": {"name": "bad"}}, "apiVersion is not set"),
    (
        "no namespace",
        {**pod("bad"), "metadata": {"name": "bad", "namespace": "nowhere"}},
        'namespaces "nowhere" not found',
    ),
]


@pytest.mark.parametrize(
    ("manifest", "said"), [(m, s) for _, m, s in BAD_PODS], ids=[i for i, _, _ in BAD_PODS]
)
def test_a_bad_manifest_is_refused_by_name(node: Daemon, manifest: Any, said: str) -> None:
    done = node.cli("apply", "-f", "-", stdin=json.dumps(manifest), check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" not in node.log
    assert node.cli("get", "pod", "bad", check=False).returncode == 1


@pytest.mark.parametrize(
    "text", ["a: [", "\t\tkind: Pod", "kind: Pod\n  name: x", "&a [*a", "!!python/object:os.system {}", ""]
)
def test_malformed_yaml_names_the_place(node: Daemon, tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    done = node.cli("apply", "-f", str(file), check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "broken.yaml" in done.stderr or "no objects" in done.stderr


def test_a_field_that_is_not_acted_on_warns(node: Daemon) -> None:
    done = node.apply(pod("warned", serviceAccountName="robot"))
    assert "Warning:" in done.stderr
    assert "spec.serviceAccountName" in done.stderr
    assert node.pod("warned")["spec"]["serviceAccountName"] == "robot"


def test_a_root_file_system_that_is_a_file_is_refused(node: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "rootfs"
    file.write_text("not a tar")
    done = node.cli("image", "build-rootfs", str(file), "bad/rootfs", check=False)
    assert done.returncode == 1
    assert "bad/rootfs" not in node.out("image", "ls")
    assert "Traceback" not in done.stderr


def test_an_archive_of_rubbish_is_refused(node: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "rubbish.tar"
    file.write_bytes(bytes(range(256)) * 64)
    before = node.out("image", "ls")
    done = node.cli("image", "import", str(file), check=False)
    assert done.returncode == 1
    assert node.out("image", "ls") == before


def test_a_pid_limit_of_one_is_one_clear_message(node: Daemon) -> None:
    """A user who may have only one process: the container's own program still runs, its children do not."""
    node.apply(
        pod(
            "lonely",
            container("ulimit -u 1; true | true; echo $?"),
            restartPolicy="Never",
            securityContext={"runAsUser": 4242},
        )
    )
    node.cli("wait", "--for=jsonpath={.status.phase}=Failed", "pod/lonely", "--timeout=20s", check=False)
    assert node.cli("get", "pods").returncode == 0


def test_the_server_survives_hostile_requests(node: Daemon) -> None:
    import socket

    for raw in (
        b"\0" * 1000,
        b"GET " + b"A" * 100_000,
        b"POST /api/v1/namespaces/default/pods HTTP/1.1\r\nContent-Length: 99\r\n\r\n{",
    ):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(node.socket))
            try:
                client.sendall(raw)
                client.shutdown(socket.SHUT_WR)
                client.recv(65536)
            except OSError:
                pass
    assert node.cli("get", "pods").returncode == 0
    assert "Traceback" not in node.log
