"""What the API server asks of a node with running pods: logs, exec, attach and the node's own pages."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from minipod.api.errors import StatusError
from minipod.client.node import LogRequest, StreamRequest
from tests.kernel.kubelet.node import FOREVER, Node, container, is_ready, main_status


async def test_logs_with_tail_timestamps_and_limit(node: Node) -> None:
    await node.create("talk", container("for i in 1 2 3; do echo line$i; done"), restartPolicy="Never")
    await node.phase("talk", "Succeeded")
    assert await node.logs("talk") == "line1\nline2\nline3\n"
    assert await node.logs("talk", tail_lines=1) == "line3\n"
    assert await node.logs("talk", limit_bytes=8) == "line1\nli"
    stamped = await node.logs("talk", timestamps=True, tail_lines=1)
    assert stamped.endswith("Z line3\n")
    assert stamped.startswith("20")
    assert await node.logs("talk", since_seconds=3600) == "line1\nline2\nline3\n"
    assert await node.logs("talk", since_time="2100-01-01T00:00:00Z") == ""


async def test_logs_follow_until_the_container_ends(node: Node) -> None:
    await node.create("follow", container("echo a; sleep 0.3; echo b"), restartPolicy="Never")
    await node.ready("follow")
    assert await node.logs("follow", follow=True) == "a\nb\n"


async def test_logs_of_the_attempt_before(node: Node) -> None:
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    script = f"if [ -e /v/x ]; then echo second; else touch /v/x; echo first; exit 1; fi; {FOREVER}"
    await node.create("twice", container(script, **mount), volumes=[{"name": "v", "emptyDir": {}}])
    await node.wait("twice", lambda p: main_status(p).restartCount == 1 and is_ready(p))
    await node.until(lambda: _says(node, "twice", "second\n"), "the second attempt to speak")
    assert await node.logs("twice", previous=True) == "first\n"


async def _says(node: Node, name: str, text: str) -> bool:
    return await node.logs(name) == text


async def test_logs_of_what_has_not_started(node: Node) -> None:
    await node.create("stuck", container(image="no/such:1"))
    await node.event("stuck", "Failed")
    with pytest.raises(StatusError, match='container "main" in pod "stuck" is waiting to start') as caught:
        await node.logs("stuck")
    assert caught.value.code == 400


async def test_a_pod_with_two_containers_wants_one_named(node: Node) -> None:
    await node.create("pair", container(FOREVER, "a"), container("echo b; " + FOREVER, "b"))
    await node.ready("pair")
    with pytest.raises(
        StatusError, match=r"a container name must be specified for pod pair, choose one of: \[a b\]"
    ):
        await node.logs("pair")
    await node.until(lambda: node.logs("pair", container="b"), "b to speak")


async def test_what_is_not_there(node: Node) -> None:
    with pytest.raises(StatusError) as caught:
        await node.kubelet.connection.logs(LogRequest(namespace="default", pod="none"))
    assert caught.value.code == 404


async def test_exec(node: Node) -> None:
    env = [{"name": "X", "value": "from the pod"}]
    await node.create("execd", container(env=env, workingDir="/tmp", securityContext={"runAsUser": 1000}))
    await node.ready("execd")
    code, said = await node.exec("execd", "sh", "-c", "echo $X; pwd; id -u; exit 7")
    assert (code, said) == (7, "from the pod\n/tmp\n1000\n")
    code, said = await node.exec("execd", "/bin/nope")
    assert code == 127
    assert "/bin/nope" in said


async def test_exec_reads_its_input(node: Node) -> None:
    await node.create("cat")
    await node.ready("cat")
    request = StreamRequest(namespace="default", pod="cat", command=("cat",), stdin=True)
    streams = await node.kubelet.connection.exec(request)
    await streams.write_stdin(b"through\n")
    await streams.close_stdin()
    assert await streams.read() == ("stdout", b"through\n")
    assert (await streams.wait()).code == 0
    await streams.close()


async def test_exec_where_nothing_runs(node: Node) -> None:
    await node.create("done", container("exit 0"), restartPolicy="Never")
    await node.phase("done", "Succeeded")
    with pytest.raises(StatusError, match="completed pod; current phase is Succeeded"):
        await node.exec("done", "true")
    await node.create("stuck", container(image="no/such:1"))
    await node.event("stuck", "Failed")
    with pytest.raises(StatusError, match='container not found \\("main"\\)') as caught:
        await node.exec("stuck", "true")
    assert caught.value.code == 404


async def test_attach(node: Node) -> None:
    script = "while read line; do echo got $line; [ $line = end ] && exit 0; done"
    await node.create("attached", container(script, stdin=True), restartPolicy="Never")
    await node.ready("attached")
    request = StreamRequest(namespace="default", pod="attached", stdin=True)
    streams = await node.kubelet.connection.attach(request)
    await streams.write_stdin(b"one\nend\n")
    said = b""
    async with asyncio.timeout(10):
        while (piece := await streams.read()) is not None:
            said += piece[1]
    await streams.close()
    assert said == b"got one\ngot end\n"
    await node.phase("attached", "Succeeded")


# -- the node's own pages ------------------------------------------------------------------------------------------


async def test_the_anatomy_is_what_the_kernel_says(node: Node) -> None:
    await node.create(
        "body",
        container(FOREVER, "a", volumeMounts=[{"name": "v", "mountPath": "/v", "readOnly": True}]),
        container(FOREVER, "b", securityContext={"runAsUser": 1000, "runAsGroup": 1000}),
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    pod = await node.ready("body")
    found = await node.proxy("GET", f"pods/{pod.metadata.uid}/anatomy")
    assert found["pod"]["name"] == "body"
    assert found["network"]["ip"] == pod.status.podIP
    assert socket.if_nametoindex(found["network"]["hostInterface"])
    infra = found["infra"]
    assert infra["namespaces"]["net"] == os.stat(f"/proc/{infra['pid']}/ns/net").st_ino
    assert infra["namespaces"]["net"] != found["hostNamespaces"]["net"]
    a, b = found["containers"]
    assert a["namespaces"]["net"] == b["namespaces"]["net"] == infra["namespaces"]["net"]
    assert a["namespaces"]["mnt"] != b["namespaces"]["mnt"]
    assert Path(a["cgroup"]["path"]).is_dir()
    assert a["processes"][0]["innerPid"] == 1
    assert a["capabilities"] == a["boundingCapabilities"] != []
    assert (b["user"], b["capabilities"]) == ("1000:1000", [])
    assert b["boundingCapabilities"] == a["boundingCapabilities"]
    assert a["mounts"] == [
        {"path": "/v", "source": found["volumes"][0]["source"], "volume": "v", "readOnly": True}
    ]
    assert Path(a["rootfs"]["upper"]).is_dir()
    assert all(Path(layer).is_dir() for layer in a["rootfs"]["layers"])
    assert Path(a["logPath"]).exists()
    assert a["capabilities"]
    assert found["cgroup"]["usage"]["pids"] >= 4


async def test_images_over_the_proxy(node: Node) -> None:
    await node.create("user")
    await node.ready("user")
    (image,) = (await node.proxy("GET", "images"))["images"]
    assert image["names"] == ["docker.io/minipod/base:latest"]
    assert image["usedBy"] == ["default/user"]
    details = await node.proxy("GET", "images/inspect", name="minipod/base")
    assert details["layers"]
    with pytest.raises(StatusError, match="in use by default/user") as caught:
        await node.proxy("DELETE", "images", name="minipod/base")
    assert caught.value.code == 409
    with pytest.raises(StatusError) as caught:
        await node.proxy("DELETE", "images", name="no/such")
    assert caught.value.code == 404
    with pytest.raises(StatusError) as caught:
        await node.proxy("POST", "images/import", body=b"not an archive")
    assert caught.value.code == 400
    await node.delete("user")
    await node.gone("user")
    gone = await node.proxy("DELETE", "images", name="minipod/base")
    assert gone["untagged"] == ["docker.io/minipod/base:latest"]
    assert gone["deleted"] == image["id"]
    assert (await node.proxy("GET", "images"))["images"] == []


async def test_statistics(node: Node) -> None:
    await node.create("busy")
    await node.ready("busy")
    found = await node.proxy("GET", "stats/summary")
    assert found["node"]["nodeName"] == node.word
    (pod,) = found["pods"]
    assert pod["podRef"]["name"] == "busy"
    assert pod["cpu"]["usageCoreNanoSeconds"] > 0
    assert pod["containers"][0]["memory"]["workingSetBytes"] > 0
    assert found["node"]["memory"]["workingSetBytes"] > pod["memory"]["workingSetBytes"]
    assert found["node"]["cpu"]["psi"]["some"]["total"] >= 0
    assert {"cpu", "memory", "io"} <= {name for name, part in pod.items() if "psi" in part}
    assert pod["network"]["interfaces"][0]["name"] == "eth0"
    assert found["node"]["fs"]["capacityBytes"] > found["node"]["fs"]["usedBytes"]


async def test_metrics_pages(node: Node) -> None:
    await node.create("busy")
    await node.ready("busy")
    resource = await node.text("metrics/resource")
    labels = 'container="main",namespace="default",pod="busy"'
    assert f"container_cpu_usage_seconds_total{{{labels}}} " in resource
    assert "node_memory_working_set_bytes " in resource
    assert "resource_scrape_error 0" in resource
    cadvisor = await node.text("metrics/cadvisor")
    waiting = [line for line in cadvisor.splitlines() if line.startswith("container_pressure_cpu_waiting")]
    assert any('container="main"' in line and 'pod="busy"' in line for line in waiting)
    assert any('id="/"' in line for line in waiting)
    names = [line.split()[2] for line in cadvisor.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


async def test_down_ends_the_processes_and_keeps_the_pods(node: Node) -> None:
    await node.create("a")
    await node.create("b", container("trap '' TERM; while :; do sleep 1000; done"), restartPolicy="Never")
    await node.ready("a")
    await node.ready("b")
    answer = await node.proxy("POST", "down", gracePeriodSeconds="1")
    assert sorted(p["name"] for p in answer["pods"]) == ["a", "b"]
    assert node.runtime.sandboxes() == []
    await node.restart()
    await node.wait("a", lambda p: main_status(p).restartCount == 1 and is_ready(p), "to be back")
    assert main_status(await node.phase("b", "Failed")).state.terminated.exitCode == 137


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "nothing", 404), ("GET", "pods/x/anatomy", 404), ("PUT", "images", 405)],
)
async def test_pages_that_are_not_there(node: Node, method: str, path: str, code: int) -> None:
    with pytest.raises(StatusError) as caught:
        await node.proxy(method, path)
    assert caught.value.code == code


async def test_the_node_object_follows_its_images(node: Node) -> None:
    from minipod.api.scheme import NODES

    await node.images.build_rootfs(node.workdir / "data" / "images", "two:1")

    async def named() -> bool:
        found = await node.client.get(NODES, node.word)
        return any("docker.io/library/two:1" in image.names for image in found.status.images)

    await node.until(named, "the node to name the new image")


async def test_a_name_means_the_newest_pod_that_has_it(node: Node) -> None:
    """A pod deleted at once is gone from the API while its processes are still being ended."""
    for word in ("first", "second"):
        await node.create("twin", container(f"echo {word}; sleep 600"))

        async def told() -> str:
            try:
                return await node.logs("twin")
            except StatusError:
                return ""

        await node.until(told, "a log")
        assert await node.logs("twin") == f"{word}\n"
        await node.delete("twin", grace=0)
