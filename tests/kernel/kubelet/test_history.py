"""What a node remembers of its pods: over restarts of the daemon, and once they are deleted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from minipod.api import core_v1
from minipod.api.errors import StatusError
from tests.kernel.kubelet.node import Node, container, is_ready, main_status


async def history(node: Node, name: str, **query: Any) -> Any:
    return await node.proxy("GET", f"pods/default/{name}/history", **query)


def steps(page: Any) -> list[str]:
    return [entry["step"] for entry in page["entries"]]


async def crashed(node: Node, name: str, times: int) -> Any:
    await node.wait(name, lambda p: main_status(p).restartCount >= times, f"to be restarted {times} times")
    return await history(node, name)


def in_back_off_again(pod: core_v1.Pod) -> bool:
    state = main_status(pod).state
    return (
        main_status(pod).restartCount >= 2
        and bool(state.waiting)
        and bool(state.waiting.reason == "CrashLoopBackOff")
    )


async def test_a_birth_is_told_in_order_with_durations(node: Node) -> None:
    await node.create(
        "born",
        container(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    await node.ready("born")
    page = await history(node, "born")
    told = steps(page)
    order = ["created", "mount", "sandbox", "create", "start", "ready"]
    assert [step for step in told if step in order] == order
    assert told.index("sandbox") < told.index("network"), "a container is created beside it"
    timed = {entry["step"]: entry.get("seconds") for entry in page["entries"]}
    assert all(timed[step] > 0 for step in ("mount", "sandbox", "network", "create", "start"))
    assert page["diagnosis"]["headline"].startswith("born is Ready for ")


async def test_every_end_of_a_container_that_crashes_is_kept_with_its_last_words(node: Node) -> None:
    await node.create("crash", container("echo this is run $RANDOM; echo panic: no such table; exit 3"))
    page: dict[str, Any] = {}

    async def three_ends_and_a_back_off() -> bool:
        page.update(await history(node, "crash"))
        held = "CrashLoopBackOff" in page["diagnosis"]["headline"]
        return held and len(page["terminations"].get("main", ())) >= 3

    await node.until(three_ends_and_a_back_off, "three ends and a back-off")
    ends = page["terminations"]["main"]
    assert {end["message"] for end in ends} == {"exit code 3 (Error)"}
    assert all(end["log"][-1] == "panic: no such table" and len(end["log"]) == 2 for end in ends)
    assert len({end["detail"]["id"] for end in ends}) == len(ends)
    assert "container main is in CrashLoopBackOff (" in page["diagnosis"]["headline"]
    assert page["diagnosis"]["headline"].endswith('"panic: no such table"')
    assert "back-off" in steps(page)


async def test_a_new_daemon_goes_on_where_the_last_one_ended(node: Node) -> None:
    await node.create("stays", container("echo bye; exit 1"))
    before = await crashed(node, "stays", 2)
    await node.restart()
    await node.wait("stays", lambda p: main_status(p).restartCount >= 4, "to go on")
    after = await history(node, "stays")
    ids = [end["detail"]["id"] for end in after["terminations"]["main"]]
    assert len(set(ids)) == len(ids) >= 4
    assert {end["detail"]["id"] for end in before["terminations"]["main"]} <= set(ids)
    assert steps(after).count("created") == 1


async def test_what_ended_while_no_daemon_ran_is_told_by_the_next(node: Node, workdir: Any) -> None:
    go = workdir / "go"
    go.mkdir()
    await node.create(
        "alone",
        container(
            "until [ -e /go/now ]; do sleep 0.05; done; echo done; exit 5",
            volumeMounts=[{"name": "go", "mountPath": "/go"}],
        ),
        volumes=[{"name": "go", "hostPath": {"path": str(go)}}],
        restartPolicy="Never",
    )
    await node.ready("alone")
    await node.kubelet.stop()
    (go / "now").touch()
    await node.restart_after_kubelet()
    await node.phase("alone", "Failed")
    (end,) = (await history(node, "alone"))["terminations"]["main"]
    assert (end["detail"]["exitCode"], end["log"]) == (5, ["done"])


async def test_a_deleted_pod_is_still_read_and_its_namesake_is_another(node: Node) -> None:
    first = await node.create("twice", container("echo first; exit 7"), restartPolicy="Never")
    await node.phase("twice", "Failed")
    await node.delete("twice", grace=0)
    await node.gone("twice")

    async def let_go() -> bool:
        return steps(await history(node, "twice"))[-1] == "deleted"

    await node.until(let_go, "everything of the pod to be gone")
    await node.restart()
    page = await history(node, "twice")
    assert page["diagnosis"]["verdict"] == "Deleted"
    assert "exit code 7" in page["diagnosis"]["headline"]
    assert steps(page)[-1] == "deleted"

    await node.create("twice")
    await node.ready("twice")
    assert (await history(node, "twice"))["terminations"] == {}
    again = await history(node, "twice", uid=first.metadata.uid)
    assert again["terminations"]["main"][0]["log"] == ["first"]


async def test_a_pod_nobody_remembers_is_not_found(node: Node) -> None:
    with pytest.raises(StatusError) as raised:
        await history(node, "nobody")
    assert raised.value.code == 404


async def test_a_pod_without_a_node_says_so(node: Node) -> None:
    await node.create("nowhere", nodeName="")
    page = await history(node, "nowhere")
    assert page["diagnosis"]["headline"].startswith("nowhere is not Ready: it waits for the scheduler")
    assert steps(page) == ["created"]


async def test_a_secret_in_the_environment_is_in_no_journal(node: Node) -> None:
    value = "hunter2-very-secret"
    await node.create("hush", container(env=[{"name": "PASSWORD", "value": value}]))
    await node.wait("hush", is_ready)
    await history(node, "hush")
    for path in (node.workdir / "data" / "history").iterdir():
        assert value not in path.read_text()


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """64 KiB at `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


async def test_a_disk_that_fills_up_costs_entries_and_nothing_else(node: Node) -> None:
    with small_disk(node.workdir / "data" / "history") as directory:
        (directory / "filler").write_bytes(b"x" * 60 * 1024)
        for name in ("one", "two"):
            await node.create(name, container(f"echo {'y' * 1500}; exit 1"))
            await node.wait(name, lambda p: main_status(p).restartCount >= 3, "to go on")
        (directory / "filler").unlink()
        kept = len((await history(node, "one"))["entries"])
        await crashed(node, "one", main_status(await node.get("one")).restartCount + 2)
        page = await history(node, "one")
        assert len(page["entries"]) > kept


async def headline(node: Node, name: str, text: str) -> str:
    """The pod's headline, once `text` is in it."""
    said = ""

    async def look() -> bool:
        nonlocal said
        said = (await history(node, name))["diagnosis"]["headline"]
        return text in said

    await node.until(look, lambda: f"{name}: {text!r} in {said!r}")
    return said


async def test_a_failing_readiness_probe_is_named_and_its_success_told(node: Node) -> None:
    probe = {
        "exec": {"command": ["sh", "-c", "[ -e /ok ] || { echo not yet; exit 1; }"]},
        "periodSeconds": 1,
    }
    await node.create("slow", container(readinessProbe=probe))
    said = await headline(node, "slow", "(2 times in ")
    assert said.startswith("slow is not Ready: container main: readiness probe fails: not yet")
    assert (await node.exec("slow", "touch", "/ok"))[0] == 0
    await node.ready("slow")
    told = [e["message"] for e in (await history(node, "slow"))["entries"] if e["step"] == "probe"]
    assert "readiness probe succeeded" in told
    assert len(told) == 2, "failures are counted, not repeated"


async def test_a_restart_by_a_liveness_probe_is_told_with_its_cause(node: Node) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    await node.create("sick", container(livenessProbe=probe))
    page = await crashed(node, "sick", 1)
    told = steps(page)
    assert told.index("probe") < told.index("kill") < told.index("exit")


async def test_what_a_pod_waits_for_is_named(node: Node) -> None:
    await node.create("init", container(), initContainers=[container("sleep 1000", "migrate")])
    assert "waits for init container migrate (running for " in await headline(node, "init", "running")
    sidecar = container(name="proxy") | {
        "restartPolicy": "Always",
        "startupProbe": {"exec": {"command": ["false"]}, "failureThreshold": 1000},
    }
    await node.create("beside", container(), initContainers=[sidecar])
    assert "waits for sidecar proxy: its startup probe" in await headline(node, "beside", "probe")
    await node.create("bare", container(image="nowhere/at-all:1", imagePullPolicy="Never"))
    said = await headline(node, "bare", "nowhere/at-all")
    assert 'container main: image "nowhere/at-all:1" is not here (Never)' in said


async def test_hooks_have_durations_and_hold_up_what_they_hold_up(node: Node) -> None:
    hooks = {"postStart": {"exec": {"command": ["sleep", "0.2"]}}, "preStop": {"sleep": {"seconds": 25}}}
    await node.create("hooked", container(lifecycle=hooks))
    await headline(node, "hooked", "waits for its postStart hook")
    await node.ready("hooked")
    ends = [e for e in (await history(node, "hooked"))["entries"] if e["step"] == "hook" and "seconds" in e]
    assert len(ends) == 1
    assert ends[0]["seconds"] >= 0.2
    await node.delete("hooked")
    said = await headline(node, "hooked", "preStop hook of container main runs for ")
    assert said.startswith("hooked is being deleted for ")
