"""Handlers on a real pod: commands in its containers, sockets to its address."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from minipod.api import core_v1
from minipod.kubelet.prober.handlers import HandlerResult, Outcome, Target, run_handler
from minipod.kubelet.prober.types import MAX_OUTPUT
from tests.kernel.kubelet.node import FOREVER, Node, container


async def aim(node: Node, name: str) -> Target:
    pod = await node.ready(name)
    sandbox = node.runtime.status(pod.metadata.uid or "")
    assert sandbox is not None
    return Target(
        pod=pod,
        container=pod.spec.containers[0],
        container_id=sandbox.containers[0].id,
        pod_ip=pod.status.podIP or "",
    )


async def exec_probe(node: Node, target: Target, *command: str, within: float = 10) -> HandlerResult:
    handler = core_v1.Probe(exec=core_v1.ExecAction(command=list(command)))
    return await run_handler(handler, target, node.runtime, timeout=within)


def processes_with(word: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if word.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


async def test_exec(node: Node) -> None:
    env = [
        {"name": "WORD", "value": "hi"},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    await node.create("pod", container(FOREVER, env=env, workingDir="/tmp"))
    target = await aim(node, "pod")
    assert await exec_probe(node, target, "sh", "-c", "pwd; echo $WORD$POD") == HandlerResult(
        Outcome.SUCCESS, "/tmp\nhipod\n"
    )
    assert await exec_probe(node, target, "echo", "$(WORD) $(POD) $$(WORD)") == HandlerResult(
        Outcome.SUCCESS, "hi $(POD) $(WORD)\n"
    )
    both = await exec_probe(node, target, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (both.outcome, sorted(both.output.split())) == (Outcome.FAILURE, ["err", "out"])
    hook = core_v1.LifecycleHandler(exec=core_v1.ExecAction(command=["echo", "$(WORD)"]))
    assert await run_handler(hook, target, node.runtime, timeout=None) == HandlerResult(
        Outcome.SUCCESS, "$(WORD)\n"
    )


async def test_values_of_the_environment_are_not_told(node: Node) -> None:
    env = [{"name": "TOKEN", "value": "s3cr3t"}]
    await node.create("pod", container(FOREVER, env=env))
    target = await aim(node, "pod")
    late = await exec_probe(node, target, "sh", "-c", "sleep 100", "$(TOKEN)", within=0.2)
    assert late.output == 'command timed out: "sh -c sleep 100 $(TOKEN)" timed out after 0.2s'
    unknown = await exec_probe(node, target, "$(TOKEN)")
    assert unknown.outcome is Outcome.UNKNOWN
    assert "$(TOKEN)" in unknown.output
    assert "s3cr3t" not in unknown.output


async def test_exec_of_what_cannot_run(node: Node) -> None:
    await node.create("pod")
    target = await aim(node, "pod")
    result = await exec_probe(node, target, "no-such-command")
    assert result.outcome is Outcome.UNKNOWN
    assert 'exec: "no-such-command": executable file not found in $PATH' in result.output
    gone = Target(pod=target.pod, container=target.container, container_id="f" * 64, pod_ip="")
    assert (await exec_probe(node, gone, "true")).outcome is Outcome.UNKNOWN


async def test_exec_output_is_bounded_and_never_blocks_the_command(node: Node) -> None:
    await node.create("pod")
    target = await aim(node, "pod")
    result = await exec_probe(node, target, "sh", "-c", "yes | head -c 3000000; exit 7")
    assert result.outcome is Outcome.FAILURE
    assert result.output == "y\n" * (MAX_OUTPUT // 2)


async def test_exec_that_talks_without_end_costs_the_daemon_little(node: Node) -> None:
    await node.create("pod")
    target = await aim(node, "pod")
    began, spent = time.monotonic(), time.process_time()
    result = await exec_probe(node, target, "cat", "/dev/zero", within=1)
    assert result == HandlerResult(Outcome.FAILURE, 'command timed out: "cat /dev/zero" timed out after 1s')
    assert time.monotonic() - began < 5
    assert time.process_time() - spent < 0.2


async def test_exec_that_leaves_a_child_with_its_output_open(node: Node) -> None:
    await node.create("pod")
    target = await aim(node, "pod")
    began = time.monotonic()
    result = await exec_probe(node, target, "sh", "-c", "sleep 1000 & echo on its way")
    assert result == HandlerResult(Outcome.SUCCESS, "on its way\n")
    assert time.monotonic() - began < 5


async def test_exec_that_times_out_leaves_no_process(node: Node, word: str) -> None:
    await node.create("pod")
    target = await aim(node, "pod")
    script = f"trap '' TERM HUP; : {word}-mark; sh -c ': {word}-mark; sleep 1000; :' & sleep 1000; :"
    began = time.monotonic()
    result = await exec_probe(node, target, "sh", "-c", script, within=0.3)
    assert time.monotonic() - began < 5
    assert result == HandlerResult(
        Outcome.FAILURE, f'command timed out: "sh -c {script}" timed out after 0.3s'
    )
    await node.until(lambda: not processes_with(f"{word}-mark"), "the command's processes to end")
    assert (await exec_probe(node, target, "true")).outcome is Outcome.SUCCESS


async def test_a_cancelled_exec_leaves_no_process(node: Node, word: str) -> None:
    await node.create("pod")
    target = await aim(node, "pod")
    task = asyncio.ensure_future(exec_probe(node, target, "sh", "-c", f": {word}-mark; sleep 1000; :"))
    await node.until(lambda: processes_with(f"{word}-mark"), "the command to run")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    await node.until(lambda: not processes_with(f"{word}-mark"), "the command's processes to end")


async def test_exec_in_a_container_that_ends_meanwhile(node: Node) -> None:
    await node.create("pod", container("sleep 1000"), restartPolicy="Never", terminationGracePeriodSeconds=0)
    target = await aim(node, "pod")
    task = asyncio.ensure_future(exec_probe(node, target, "sh", "-c", "echo begun; sleep 1000; :"))
    await node.until(lambda: processes_with("echo begun"), "the command to run")
    await node.runtime.kill_container(target.pod.metadata.uid or "", target.container_id)
    result = await task
    assert result.outcome in (Outcome.FAILURE, Outcome.UNKNOWN)


async def test_sockets_to_a_pod(node: Node) -> None:
    script = "mkdir -p /tmp/www; echo hello > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"
    ports = [{"name": "http", "containerPort": 8080}]
    await node.create("pod", container(script, ports=ports))
    target = await aim(node, "pod")
    tcp = core_v1.Probe(tcpSocket=core_v1.TCPSocketAction(port="http"))

    async def listens() -> bool:
        return (await run_handler(tcp, target, node.runtime, timeout=1)).outcome is Outcome.SUCCESS

    await node.until(listens, "the server to listen")
    get = core_v1.Probe(httpGet=core_v1.HTTPGetAction(port="http", path="/"))
    assert await run_handler(get, target, node.runtime, timeout=5) == HandlerResult(
        Outcome.SUCCESS, "hello\n"
    )
    missing = core_v1.Probe(httpGet=core_v1.HTTPGetAction(port=8080, path="/none"))
    assert await run_handler(missing, target, node.runtime, timeout=5) == HandlerResult(
        Outcome.FAILURE, "HTTP probe failed with statuscode: 404"
    )
    refused = core_v1.Probe(tcpSocket=core_v1.TCPSocketAction(port=1))
    assert (await run_handler(refused, target, node.runtime, timeout=5)).output == (
        f"dial tcp {target.pod_ip}:1: connect: connection refused"
    )
