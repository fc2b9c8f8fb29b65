"""The real kubectl against the server: the judge of whether this is Kubernetes' API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from minipod.api import core_v1
from minipod.api.scheme import NODES, PODS
from tests.helpers.wait import wait_until
from tests.unit.apiserver.objects import changed, node
from tests.unit.apiserver.serving import ServerThread

KUBECTL = shutil.which("kubectl")
MUST_WORK = os.environ.get("MINIPOD_MUST_WORK") == "1"
pytestmark = pytest.mark.skipif(KUBECTL is None and not MUST_WORK, reason="kubectl is not installed")

Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: here
  containers:
  - {name: app, image: minipod/base, ports: [{containerPort: 80}]}
"""


@pytest.fixture(scope="module")
def server(shared_server: ServerThread) -> ServerThread:
    shared_server.call(shared_server.local.create(NODES, node()))
    return shared_server


@pytest.fixture
def kubectl(server: ServerThread, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    home: Path = tmp_path_factory.getbasetemp() / "kubectl-home"
    home.mkdir(exist_ok=True)

    def run(*arguments: str, stdin: str | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [KUBECTL or "kubectl", f"--server=http://127.0.0.1:{server.port}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={"HOME": str(home), "PATH": os.environ["PATH"]},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def web(server: ServerThread, kubectl: Kubectl) -> str:
    kubectl("create", "-f", "-", stdin=POD)
    return "web"


@pytest.fixture(autouse=True)
def clean(server: ServerThread) -> None:
    with server.client() as api:
        for item in api.get("/api/v1/pods")["items"]:
            path = f"/api/v1/namespaces/default/pods/{item['metadata']['name']}"
            api.delete(path, {"gracePeriodSeconds": 0})


def run_it(server: ServerThread) -> None:
    """What a kubelet would report."""

    def run(pod: object) -> None:
        assert isinstance(pod, core_v1.Pod)
        pod.status.phase = "Running"
        pod.status.podIPs = [core_v1.PodIP(ip="10.0.0.2")]
        pod.status.podIP = "10.0.0.2"
        pod.status.conditions = [core_v1.PodCondition(type="Ready", status="True")]
        state = core_v1.ContainerState(
            running=core_v1.ContainerStateRunning(startedAt="2026-01-02T03:04:05Z")
        )
        pod.status.containerStatuses = [
            core_v1.ContainerStatus(
                name="app", image="i", imageID="i", ready=True, restartCount=0, state=state
            )
        ]

    server.call(_update(server, run))


async def _update(server: ServerThread, change: Callable[[object], None]) -> None:
    await server.registry.update(PODS, "web", "default", changed(change), subresource="status")


def test_get_and_describe(server: ServerThread, kubectl: Kubectl, web: str) -> None:
    run_it(server)
    head, line = kubectl("get", "pods", "-o", "wide").stdout.splitlines()
    assert " ".join(head.split()) == "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES"
    cells = line.split()
    assert (cells[:4], cells[5:]) == (
        ["web", "1/1", "Running", "0"],
        ["10.0.0.2", "here", "<none>", "<none>"],
    )
    obj = json.loads(kubectl("get", "pod", web, "-o", "json").stdout)
    assert obj["status"]["podIP"] == "10.0.0.2"
    described = kubectl("describe", "pod", web).stdout
    assert ["Status:", "Running"] in [line.split() for line in described.splitlines()]
    assert kubectl("get", "nodes", "--no-headers").stdout.split()[:2] == ["here", "Ready"]
    assert "default" in kubectl("get", "ns", "-o", "name").stdout


def test_create_is_strict(kubectl: Kubectl) -> None:
    wrong = POD.replace("image:", "imagee:")
    refused = kubectl("create", "-f", "-", stdin=wrong, code=1)
    assert "spec.containers[0].imagee: unknown field, did you mean image?" in refused.stderr


def test_label_and_delete(kubectl: Kubectl, web: str) -> None:
    kubectl("label", "pod", web, "tier=front")
    assert kubectl("get", "pods", "-l", "tier=front", "-o", "name").stdout == "pod/web\n"
    assert "deleted" in kubectl("delete", "pod", web, "--force", "--grace-period=0").stdout
    assert "not found" in kubectl("get", "pod", web, code=1).stderr


def test_logs(kubectl: Kubectl, web: str) -> None:
    assert kubectl("logs", web, "--tail=5").stdout == "one\ntwo\n"


def test_exec(server: ServerThread, kubectl: Kubectl, web: str) -> None:
    done = kubectl("exec", web, "--", "echo", "hello", "there")
    assert (done.stdout, done.stderr) == ("hello there\n", "said\n")
    assert kubectl("exec", "-i", web, "--", "cat", stdin="in and out").stdout == "in and out"
    assert "exit code 42" in kubectl("exec", web, "--", "exit", "42", code=42).stderr
    failed = kubectl("exec", web, "--", "fail", "exec /bin/nope: no such file", code=1)
    assert "exec /bin/nope: no such file" in failed.stderr
    assert "container app is not running" in kubectl("exec", web, "--", "refuse", code=1).stderr


def test_wait_follows_a_watch(server: ServerThread, kubectl: Kubectl, web: str) -> None:
    run_it(server)
    kubectl("wait", "--for=condition=Ready", f"pod/{web}", "--timeout=10s")


def test_run_and_api_resources(kubectl: Kubectl) -> None:
    kubectl("run", "tool", "--image=minipod/base", "--restart=Never", "--", "sleep", "1")
    assert (
        kubectl("get", "pod", "tool", "-o", "jsonpath={.spec.containers[0].args}").stdout == '["sleep","1"]'
    )
    assert "pods" in kubectl("api-resources", "-o", "name").stdout.split()


def test_apply_twice(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=POD)
    assert "configured" in kubectl("apply", "-f", "-", stdin=POD.replace("base,", "other,")).stdout
    image = kubectl("get", "pod", "web", "-o", "jsonpath={.spec.containers[0].image}").stdout
    assert image == "minipod/other"


def test_patch_resize(kubectl: Kubectl) -> None:
    resources = "resources: {requests: {cpu: 100m}, limits: {cpu: 200m}}"
    kubectl("create", "-f", "-", stdin=POD.replace("ports:", f"{resources}, ports:"))
    change = '{"spec": {"containers": [{"name": "app", "resources": {"limits": {"cpu": "%s"}}}]}}'
    patch = ("patch", "pod", "web", "--subresource", "resize", "--patch")
    kubectl(*patch, change % "300m")
    shown = kubectl(
        "get", "pod", "web", "-o", "jsonpath={.spec.containers[0].resources}{.metadata.generation}"
    )
    assert shown.stdout == '{"limits":{"cpu":"300m"},"requests":{"cpu":"100m"}}2'
    refused = kubectl(*patch, change % "50m", code=1)
    assert 'Invalid value: "100m": must be less than or equal to cpu limit of 50m' in refused.stderr


def test_debug(server: ServerThread, kubectl: Kubectl, web: str) -> None:
    kubectl("debug", web, "--image=minipod/base", "--target=app", "-c", "look", "--attach=false", "--", "ps")
    added = json.loads(kubectl("get", "pod", web, "-o", "jsonpath={.spec.ephemeralContainers[0]}").stdout)
    assert (added["name"], added["targetContainerName"], added["command"]) == ("look", "app", ["ps"])


def test_debug_and_attach(server: ServerThread, kubectl: Kubectl, web: str) -> None:
    """kubectl waits for the container to run before it attaches."""
    starting = threading.Thread(target=run_ephemeral_container, args=(server,))
    starting.start()
    done = kubectl("debug", "-i", web, "--image=minipod/base", "-c", "look", "--", "cat", stdin="in and out")
    starting.join()
    assert done.stdout == "in and out"


def run_ephemeral_container(server: ServerThread) -> None:
    def added() -> bool:
        return bool(server.registry.get(PODS, "web", "default").obj.spec.ephemeralContainers)

    def run(pod: object) -> None:
        assert isinstance(pod, core_v1.Pod)
        state = core_v1.ContainerState(running=core_v1.ContainerStateRunning())
        pod.status.ephemeralContainerStatuses = [core_v1.ContainerStatus(name="look", state=state)]

    wait_until(added)
    server.call(_update(server, run))
