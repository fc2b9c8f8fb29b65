"""Pods as a whole, metadata and the other kinds."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import codec, core_v1, defaults, meta_v1, names, validation
from tests.unit.api.pods import container, manifest, pod, refusal


def test_no_containers() -> None:
    made = codec.from_builtins(core_v1.Pod, {**manifest(), "spec": {}})
    defaults.set_defaults(made)
    assert refusal(made) == "spec.containers: Required value"


def test_several_mistakes_are_told_at_once() -> None:
    made = pod(container("A", image=""), restartPolicy="x")
    assert refusal(made) == (
        f'[spec.containers[0].name: Invalid value: "A": {names.dns_label("A")[0]}, '
        'spec.containers[0].image: Required value, spec.restartPolicy: Unsupported value: "x": supported values: '
        '"Always", "OnFailure", "Never"]'
    )


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"namespace": "n"}, "metadata.name: Required value: name or generateName is required"),
        ({"name": "p"}, "metadata.namespace: Required value"),
        (
            {"name": "p", "namespace": "a.b"},
            'metadata.namespace: Invalid value: "a.b": must not contain dots',
        ),
        (
            {"name": "p", "namespace": "n", "labels": {"a": "b c"}},
            'metadata.labels[a]: Invalid value: "b c": a valid label must be an empty string or consist of',
        ),
        (
            {"name": "p", "namespace": "n", "annotations": {"a/b/c": ""}},
            'metadata.annotations: Invalid value: "a/b/c": a qualified name must consist of',
        ),
        (
            {"name": "p", "namespace": "n", "annotations": {"a": "x" * 300_000}},
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
        (
            {"name": "p", "namespace": "n", "finalizers": ["mine"]},
            'metadata.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully '
            "qualified",
        ),
        (
            {
                "name": "p",
                "namespace": "n",
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "o"}],
            },
            'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
        ),
    ],
)
def test_metadata(meta: dict[str, Any], said: str) -> None:
    made = codec.from_builtins(core_v1.Pod, {**manifest(), "metadata": meta})
    defaults.set_defaults(made)
    assert refusal(made).startswith(said)


def test_a_trailing_dash_in_generate_name_is_fine() -> None:
    made = codec.from_builtins(
        core_v1.Pod, {**manifest(), "metadata": {"generateName": "web-", "name": "web-x", "namespace": "n"}}
    )
    defaults.set_defaults(made)
    assert refusal(made) == ""


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        (
            core_v1.Namespace(metadata=meta_v1.ObjectMeta(name="a.b")),
            'metadata.name: Invalid value: "a.b": must not contain dots',
        ),
        (core_v1.Namespace(metadata=meta_v1.ObjectMeta(name="a")), ""),
        (core_v1.Node(metadata=meta_v1.ObjectMeta(name="a.b")), ""),
        (
            core_v1.Node(
                metadata=meta_v1.ObjectMeta(name="a"),
                spec=core_v1.NodeSpec(taints=[core_v1.Taint(key="k", effect="Go")]),
            ),
            'spec.taints[0].effect: Unsupported value: "Go": supported values: "NoSchedule", "PreferNoSchedule", '
            '"NoExecute"',
        ),
        (
            core_v1.Event(
                metadata=meta_v1.ObjectMeta(name="e", namespace="a"),
                involvedObject=core_v1.ObjectReference(namespace="b"),
            ),
            'involvedObject.namespace: Invalid value: "b": does not match event.namespace',
        ),
    ],
)
def test_the_other_kinds(obj: Any, said: str) -> None:
    assert ", ".join(map(str, validation.validate(obj))) == said


def test_a_pod_with_everything_is_fine() -> None:
    made = pod(
        container(
            command=["a"],
            ports=[
                {"containerPort": 80, "hostPort": 80, "name": "http"},
                {"containerPort": 80, "hostPort": 80, "protocol": "UDP"},
            ],
            env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}],
            envFrom=[{"configMapRef": {"name": "m"}, "prefix": "P_"}],
            resources={"limits": {"cpu": "1", "memory": "1Gi", "hugepages-2Mi": "4Mi", "x.y/gpu": 1}},
            volumeMounts=[{"name": "v", "mountPath": "/v", "subPathExpr": "$(A)/x..y"}],
            livenessProbe={"httpGet": {"port": "http"}},
            lifecycle={"preStop": {"sleep": {"seconds": 5}}, "stopSignal": "SIGRTMIN+3"},
            securityContext={"runAsUser": 0, "procMount": "Unmasked"},
        ),
        initContainers=[
            container("i"),
            container("s", restartPolicy="Always", startupProbe={"tcpSocket": {"port": 1}}),
        ],
        hostUsers=False,
        dnsPolicy="None",
        dnsConfig={
            "nameservers": ["1.1.1.1"],
            "searches": ["_x.y.", "."],
            "options": [{"name": "ndots", "value": "2"}],
        },
        hostAliases=[{"ip": "::1", "hostnames": ["a.b"]}],
        securityContext={
            "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}],
            "supplementalGroups": [0],
        },
        affinity={
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 1,
                        "podAffinityTerm": {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {"matchLabels": {"app": "x"}},
                        },
                    }
                ]
            }
        },
        tolerations=[{"operator": "Exists"}],
        topologySpreadConstraints=[
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        volumes=[
            {"name": "v", "emptyDir": {"medium": "Memory"}},
            {"name": "h", "hostPath": {"path": "/x", "type": "File"}},
        ],
    )
    assert refusal(made) == ""
