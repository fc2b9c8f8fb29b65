"""Containers, their ports and environment: refused for what Kubernetes refuses, in its words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.pods import container, pod, refusal

Case = tuple[str, list[dict[str, Any]], dict[str, Any], str]
"""What is wrong, the containers, the rest of the spec, and what is said about it."""

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)

CONTAINERS: list[Case] = [
    ("no image", [{"name": "c"}], {}, "spec.containers[0].image: Required value"),
    (
        "padded image",
        [container(image=" x")],
        {},
        'spec.containers[0].image: Invalid value: " x": must not have leading or trailing whitespace',
    ),
    ("no name", [{"image": "x"}], {}, "spec.containers[0].name: Required value"),
    ("bad name", [container("A_b")], {}, f'spec.containers[0].name: Invalid value: "A_b": {LABEL}'),
    ("same name", [container(), container()], {}, 'spec.containers[1].name: Duplicate value: "c"'),
    (
        "same name as an init container",
        [container()],
        {"initContainers": [container()]},
        'spec.initContainers[0].name: Duplicate value: "c"',
    ),
    (
        "pull policy",
        [container(imagePullPolicy="Sometimes")],
        {},
        'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", '
        '"IfNotPresent", "Never"',
    ),
    (
        "message policy",
        [container(terminationMessagePolicy="x")],
        {},
        'spec.containers[0].terminationMessagePolicy: Unsupported value: "x": supported values: "File", '
        '"FallbackToLogsOnError"',
    ),
    (
        "NUL in a command",
        [container(command=["a", "b\0c"])],
        {},
        'spec.containers[0].command[1]: Invalid value: "b\\u0000c": must not contain NUL characters',
    ),
    (
        "lifecycle of an init container",
        [container()],
        {"initContainers": [container("i", livenessProbe={"exec": {"command": ["x"]}})]},
        "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without "
        "restartPolicy=Always",
    ),
    (
        "restart rules",
        [
            container(
                restartPolicyRules=[{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]
            )
        ],
        {},
        "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used",
    ),
]

PORTS: list[Case] = [
    (
        "out of range",
        [container(ports=[{"containerPort": 65536}])],
        {},
        "spec.containers[0].ports[0].containerPort: Invalid value: 65536: must be between 1 and 65535, inclusive",
    ),
    ("none", [container(ports=[{}])], {}, "spec.containers[0].ports[0].containerPort: Required value"),
    (
        "same name",
        [container(ports=[{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}])],
        {},
        'spec.containers[0].ports[1].name: Duplicate value: "a"',
    ),
    (
        "bad name",
        [container(ports=[{"containerPort": 1, "name": "80"}])],
        {},
        'spec.containers[0].ports[0].name: Invalid value: "80": must contain at least one letter (a-z)',
    ),
    (
        "same host port in two containers",
        [
            container("a", ports=[{"containerPort": 1, "hostPort": 5}]),
            container("b", ports=[{"containerPort": 1, "hostPort": 5}]),
        ],
        {},
        'spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//5"',
    ),
    (
        "protocol",
        [container(ports=[{"containerPort": 1, "protocol": "tcp"}])],
        {},
        'spec.containers[0].ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
    ),
    (
        "host IP",
        [container(ports=[{"containerPort": 1, "hostPort": 1, "hostIP": "localhost"}])],
        {},
        'spec.containers[0].ports[0].hostIP: Invalid value: "localhost": must be a valid IP address, (e.g. 10.9.8.7 or '
        "2001:db8::ffff)",
    ),
    (
        "host network",
        [container(ports=[{"containerPort": 1, "hostPort": 2}])],
        {"hostNetwork": True},
        "spec.containers[0].ports[0].hostPort: Invalid value: 2: must match `containerPort` when `hostNetwork` is true",
    ),
]

ENV: list[Case] = [
    ("no name", [container(env=[{"value": "x"}])], {}, "spec.containers[0].env[0].name: Required value"),
    (
        "bad name",
        [container(env=[{"name": "A=B"}])],
        {},
        'spec.containers[0].env[0].name: Invalid value: "A=B": a valid environment variable name must consist only of '
        "printable ASCII characters other than '='",
    ),
    (
        "two sources",
        [
            container(
                env=[
                    {
                        "name": "A",
                        "valueFrom": {
                            "fieldRef": {"fieldPath": "metadata.name"},
                            "secretKeyRef": {"name": "s", "key": "k"},
                        },
                    }
                ]
            )
        ],
        {},
        'spec.containers[0].env[0].valueFrom: Invalid value: "": may not have more than one field specified at a time',
    ),
    (
        "value and source",
        [
            container(
                env=[{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
            )
        ],
        {},
        'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
    ),
    (
        "no source",
        [container(env=[{"name": "A", "valueFrom": {}}])],
        {},
        'spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, '
        "`configMapKeyRef` or `secretKeyRef`",
    ),
    (
        "field path",
        [container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.color"}}}])],
        {},
        'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.color": supported values: '
        '"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", '
        '"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"',
    ),
    (
        "subscript",
        [container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.x['y']"}}}])],
        {},
        'spec.containers[0].env[0].valueFrom.fieldRef: Invalid value: "spec.x": does not support subscript',
    ),
    (
        "divisor",
        [
            container(
                env=[
                    {
                        "name": "A",
                        "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}},
                    }
                ]
            )
        ],
        {},
        'spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor\'s '
        "values 1m and 1 are supported with the cpu resource",
    ),
    (
        "envFrom without source",
        [container(envFrom=[{"prefix": "A_"}])],
        {},
        'spec.containers[0].envFrom[0]: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
    ),
]


@pytest.mark.parametrize(
    ("containers", "spec", "said"),
    [
        pytest.param(containers, spec, said, id=name)
        for name, containers, spec, said in (*CONTAINERS, *PORTS, *ENV)
    ],
)
def test_one_mistake_is_one_message(
    containers: list[dict[str, Any]], spec: dict[str, Any], said: str
) -> None:
    assert refusal(pod(*containers, **spec)) == said
