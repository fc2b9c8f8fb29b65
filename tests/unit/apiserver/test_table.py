"""What `get` prints: a pod's whole story in one word, and times as people say them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minipod.api import codec, core_v1, timestamps
from minipod.api.scheme import EVENTS, NAMESPACES, NODES, PODS, Resource
from minipod.apiserver.table.columns import human_duration
from minipod.apiserver.table.table import IncludeObject, table
from minipod.storage.interface import Key, Stored

NOW = "2026-03-01T12:00:00Z"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = timestamps.to_epoch_us(NOW) * 1000
    monkeypatch.setattr("minipod.apiserver.table.table.time.time_ns", lambda: now)


def stored(resource: Resource, value: dict[str, Any]) -> Stored:
    obj = codec.from_builtins(resource.type, value)
    return Stored(Key(resource.plural, "", "x"), obj, codec.encode(obj), 1, 0.0)


def made(resource: Resource, value: dict[str, Any], include: IncludeObject = IncludeObject.NONE) -> Any:
    return json.loads(
        table(resource, [stored(resource, value)], b'{"resourceVersion":"7"}', include=include)
    )


def row(resource: Resource, value: dict[str, Any]) -> dict[str, Any]:
    """Column name -> cell."""
    found = made(resource, value)
    names = [column["name"] for column in found["columnDefinitions"]]
    return dict(zip(names, found["rows"][0]["cells"], strict=True))


def status(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "i", "imageID": "", "ready": False, "restartCount": 0, **fields}


def running(name: str = "c", **fields: Any) -> dict[str, Any]:
    return status(name, ready=True, state={"running": {"startedAt": "2026-03-01T11:00:00Z"}}, **fields)


def waiting(reason: str, name: str = "c", **fields: Any) -> dict[str, Any]:
    return status(name, state={"waiting": {"reason": reason}}, **fields)


def ended(code: int, reason: str = "", name: str = "c", **fields: Any) -> dict[str, Any]:
    terminated = {"exitCode": code, **({"reason": reason} if reason else {}), **fields.pop("terminated", {})}
    return status(name, state={"terminated": terminated}, **fields)


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **fields: Any) -> dict[str, Any]:
    names = [c["name"] for c in containers] or ["c"]
    value: dict[str, Any] = {
        "metadata": {"name": "web", "namespace": "default", "creationTimestamp": "2026-03-01T11:55:00Z"},
        "spec": {
            "containers": [{"name": name, "image": "i"} for name in names],
            "initContainers": [{"name": c["name"], "image": "i", **c.pop("spec", {})} for c in init],
        },
        "status": {
            "phase": fields.pop("phase", "Running"),
            "containerStatuses": list(containers),
            "initContainerStatuses": list(init),
            "conditions": [{"type": name, "status": "True"} for name in fields.pop("conditions", ())],
            **fields.pop("status", {}),
        },
    }
    value["metadata"] |= fields.pop("metadata", {})
    value["spec"] |= fields.pop("spec", {})
    return value


SIDECAR: Any = {"restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("value", "ready", "word"),
    [
        (pod(phase="Pending"), "0/1", "Pending"),
        (pod(waiting("ContainerCreating"), phase="Pending"), "0/1", "ContainerCreating"),
        (pod(waiting("ErrImagePull"), phase="Pending"), "0/1", "ErrImagePull"),
        (pod(running()), "1/1", "Running"),
        (pod(running("a"), running("b")), "2/2", "Running"),
        (pod(running("a"), waiting("CrashLoopBackOff", "b")), "1/2", "CrashLoopBackOff"),
        (pod(ended(0, "Completed"), phase="Succeeded"), "0/1", "Completed"),
        (pod(ended(1, "Error"), phase="Failed"), "0/1", "Error"),
        (pod(ended(137, "OOMKilled"), phase="Failed"), "0/1", "OOMKilled"),
        (pod(ended(3), phase="Failed"), "0/1", "ExitCode:3"),
        (pod(ended(137, terminated={"signal": 9}), phase="Failed"), "0/1", "Signal:9"),
        (pod(ended(0, "Completed", "a"), running("b"), conditions=("Ready",)), "1/2", "Running"),
        (pod(ended(0, "Completed", "a"), running("b")), "1/2", "NotReady"),
        (pod(phase="Failed", status={"reason": "Evicted"}), "0/1", "Evicted"),
        (pod(running(), metadata={"deletionTimestamp": NOW}), "1/1", "Terminating"),
        (
            pod(ended(0, "Completed"), phase="Succeeded", metadata={"deletionTimestamp": NOW}),
            "0/1",
            "Completed",
        ),
        (
            pod(running(), metadata={"deletionTimestamp": NOW}, status={"reason": "NodeLost"}),
            "1/1",
            "Unknown",
        ),
        (pod(init=(waiting("PodInitializing", "i"),), phase="Pending"), "0/1", "Init:0/1"),
        (pod(init=(ended(0, "Completed", "i"), status("j")), phase="Pending"), "0/1", "Init:1/2"),
        (pod(init=(status("i", state={"running": {}}),), phase="Pending"), "0/1", "Init:0/1"),
        (pod(init=(waiting("CrashLoopBackOff", "i"),), phase="Pending"), "0/1", "Init:CrashLoopBackOff"),
        (pod(init=(ended(1, "Error", "i"),), phase="Pending"), "0/1", "Init:Error"),
        (pod(init=(ended(2, name="i"),), phase="Pending"), "0/1", "Init:ExitCode:2"),
        (
            pod(init=(ended(137, name="i", terminated={"signal": 9}),), phase="Pending"),
            "0/1",
            "Init:Signal:9",
        ),
        (pod(running(), init=(ended(0, "Completed", "i"),)), "1/1", "Running"),
        (pod(running(), init=(running("s", started=True, spec=SIDECAR),)), "2/2", "Running"),
        (
            pod(running(), init=(status("s", started=True, state={"running": {}}, spec=SIDECAR),)),
            "1/2",
            "Running",
        ),
    ],
)
def test_a_pods_state_in_one_word(value: dict[str, Any], ready: str, word: str) -> None:
    cells = row(PODS, value)
    assert (cells["Ready"], cells["Status"]) == (ready, word)


def test_a_gated_pod_says_so() -> None:
    value = pod(phase="Pending")
    value["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    ]
    assert row(PODS, value)["Status"] == "SchedulingGated"


LAST: Any = {"lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-03-01T11:57:00Z"}}}
EARLIER: Any = {"lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-03-01T10:00:00Z"}}}


@pytest.mark.parametrize(
    ("value", "restarts"),
    [
        (pod(running()), "0"),
        (pod(running(restartCount=3)), "3"),
        (pod(running(restartCount=3, **LAST)), "3 (3m ago)"),
        (pod(running("a", restartCount=2, **EARLIER), running("b", restartCount=3, **LAST)), "5 (3m ago)"),
        (
            pod(running(restartCount=1, **LAST), init=(ended(0, name="i", restartCount=4, **LAST),)),
            "1 (3m ago)",
        ),
        (
            pod(init=(waiting("CrashLoopBackOff", "i", restartCount=4, **LAST),), phase="Pending"),
            "4 (3m ago)",
        ),
        (
            pod(running(), init=(running("s", started=True, restartCount=2, spec=SIDECAR, **LAST),)),
            "2 (3m ago)",
        ),
    ],
)
def test_restarts(value: dict[str, Any], restarts: str) -> None:
    assert row(PODS, value)["Restarts"] == restarts


def test_the_wide_columns_of_a_pod() -> None:
    value = pod(
        running(),
        spec={"nodeName": "here", "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]},
        status={"podIPs": [{"ip": "10.0.0.2"}], "conditions": [{"type": "a", "status": "True"}]},
    )
    assert list(row(PODS, value).values()) == [
        "web", "1/1", "Running", "0", "5m", "10.0.0.2", "here", "<none>", "1/2",
    ]  # fmt: skip
    priorities = {c["name"]: c["priority"] for c in made(PODS, value)["columnDefinitions"]}
    assert [name for name, priority in priorities.items() if not priority] == [
        "Name",
        "Ready",
        "Status",
        "Restarts",
        "Age",
    ]


def test_ended_pods_are_marked() -> None:
    done = made(PODS, pod(ended(0), phase="Succeeded"))["rows"][0]["conditions"]
    assert [(c["type"], c["status"], c["reason"]) for c in done] == [("Completed", "True", "Succeeded")]
    assert "conditions" not in made(PODS, pod(running()))["rows"][0]


def test_nodes() -> None:
    value: dict[str, Any] = {
        "metadata": {
            "name": "here",
            "creationTimestamp": "2026-02-01T12:00:00Z",
            "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "worker"},
        },
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {"kubeletVersion": "v1.37.0", "osImage": "Debian", "kernelVersion": "6.1"},
        },
    }
    for field in ("architecture", "bootID", "containerRuntimeVersion", "kubeProxyVersion", "machineID"):
        value["status"]["nodeInfo"][field] = ""
    value["status"]["nodeInfo"] |= {"operatingSystem": "linux", "systemUUID": ""}
    assert list(row(NODES, value).values()) == [
        "here",
        "Ready,SchedulingDisabled",
        "control-plane,worker",
        "28d",
        "v1.37.0",
        "10.0.0.1",
        "<none>",
        "Debian",
        "6.1",
        "<unknown>",
    ]
    assert row(NODES, {"metadata": {"name": "n"}})["Status"] == "Unknown"
    not_ready = {"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    assert row(NODES, not_ready)["Status"] == "NotReady"


def test_namespaces() -> None:
    value = {"metadata": {"name": "n", "creationTimestamp": NOW}, "status": {"phase": "Active"}}
    assert row(NAMESPACES, value) == {"Name": "n", "Status": "Active", "Age": "0s"}


def test_events() -> None:
    value = {
        "metadata": {"name": "web.1", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": "spec.containers{c}"},
        "type": "Warning",
        "reason": "BackOff",
        "message": "Back-off\n",
        "source": {"component": "kubelet", "host": "here"},
        "firstTimestamp": "2026-03-01T11:00:00Z",
        "lastTimestamp": "2026-03-01T11:59:30Z",
        "count": 12,
    }
    assert list(row(EVENTS, value).values()) == [
        "30s", "Warning", "BackOff", "pod/web", "spec.containers{c}", "kubelet, here", "Back-off", "60m", 12, "web.1",
    ]  # fmt: skip
    bare = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Node"},
        "eventTime": "2026-03-01T11:59:50.000000Z",
    }
    cells = row(EVENTS, bare)
    assert (cells["Last Seen"], cells["Object"], cells["Count"]) == ("10s", "node", 1)


@pytest.mark.parametrize("include", list(IncludeObject))
def test_rows_carry_as_much_of_the_object_as_was_asked_for(include: IncludeObject) -> None:
    found = made(PODS, pod(running()), include)
    assert found["metadata"] == {"resourceVersion": "7"}
    obj = found["rows"][0].get("object")
    if include is IncludeObject.NONE:
        assert obj is None
    elif include is IncludeObject.METADATA:
        assert (obj["kind"], obj["metadata"]["name"], "spec" in obj) == (
            "PartialObjectMetadata",
            "web",
            False,
        )
    else:
        assert (obj["kind"], obj["spec"]["containers"][0]["name"]) == ("Pod", "c")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (600, "10m"),
        (179 * 60, "179m"),
        (180 * 60, "3h"),
        (5 * 3600 + 180, "5h3m"),
        (8 * 3600 + 60, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (4 * 86400 + 6 * 3600, "4d6h"),
        (8 * 86400 + 3600, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (3 * 365 * 86400 + 20 * 86400, "3y20d"),
        (9 * 365 * 86400 + 86400, "9y"),
    ],
)
def test_durations(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def test_an_object_without_a_time_has_an_unknown_age() -> None:
    assert row(NAMESPACES, {"metadata": {"name": "n"}})["Age"] == "<unknown>"
    assert isinstance(core_v1.Namespace(), core_v1.Namespace)
