"""Nothing valid is ignored silently: what has no effect here is named."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import codec, core_v1, schema, support
from tests.unit.api.pods import container, manifest, pod

WITHOUT_EFFECT: list[tuple[dict[str, Any], str]] = [
    (
        manifest(container(livenessProbe={"grpc": {"port": 1, "mode": "x"}})),
        "spec.containers[0].livenessProbe.grpc.mode",
    ),
    (
        manifest(
            container(), container("d", lifecycle={"preStop": {"httpGet": {"port": 1, "protocol": "x"}}})
        ),
        "spec.containers[1].lifecycle.preStop.httpGet.protocol",
    ),
    (manifest(container(envFrom=[{"secretRef": {"name": "s"}}])), "spec.containers[0].envFrom"),
    (
        manifest(container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}])),
        "spec.containers[0].env[0].valueFrom.secretKeyRef",
    ),
    (
        manifest(container(resources={"limits": {"example.com/gpu": "1"}})),
        "spec.containers[0].resources.limits[example.com/gpu]",
    ),
    (
        manifest(
            container(volumeMounts=[{"name": "v", "mountPath": "/v", "mountPropagation": "HostToContainer"}])
        ),
        "spec.containers[0].volumeMounts[0].mountPropagation",
    ),
    (
        manifest(container(securityContext={"seccompProfile": {"type": "RuntimeDefault"}})),
        "spec.containers[0].securityContext.seccompProfile.type",
    ),
    (manifest(securityContext={"seLinuxOptions": {"level": "s0"}}), "spec.securityContext.seLinuxOptions"),
    (manifest(affinity={"nodeAffinity": {}}), "spec.affinity"),
    (manifest(hostUsers=False), "spec.hostUsers"),
    (manifest(priorityClassName="high"), "spec.priorityClassName"),
    (manifest(runtimeClassName="crun"), "spec.runtimeClassName"),
    (manifest(serviceAccountName="robot"), "spec.serviceAccountName"),
    (
        manifest(tolerations=[{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}]),
        "spec.tolerations[0].tolerationSeconds",
    ),
    (manifest(volumes=[{"name": "v", "secret": {"secretName": "s"}}]), "spec.volumes[0].secret"),
    (
        manifest(volumes=[{"name": "v", "emptyDir": {"medium": "HugePages"}}]),
        "spec.volumes[0].emptyDir.medium",
    ),
]


@pytest.mark.parametrize(("value", "path"), WITHOUT_EFFECT, ids=[path for _, path in WITHOUT_EFFECT])
def test_a_field_without_effect_is_named(value: dict[str, Any], path: str) -> None:
    made = codec.from_builtins(core_v1.Pod, value)
    assert support.unimplemented(made) == [f"{path}: accepted but not acted on by this version of minipod"]


def test_a_defaulted_pod_that_uses_what_is_honoured_does_not_warn() -> None:
    made = pod(
        container(
            command=["x"],
            env=[
                {"name": "A", "value": "b"},
                {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            ports=[{"containerPort": 80, "hostPort": 80, "hostIP": "127.0.0.1"}],
            resources={"limits": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}},
            volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "a", "readOnly": True}],
            securityContext={"runAsUser": 1, "capabilities": {"add": ["NET_ADMIN"]}, "procMount": "Default"},
            tty=True,
            livenessProbe={"httpGet": {"port": 1, "httpHeaders": [{"name": "A", "value": "b"}]}},
            readinessProbe={"grpc": {"port": 1, "service": "s"}, "failureThreshold": 2},
            lifecycle={"postStart": {"exec": {"command": ["x"]}}, "preStop": {"sleep": {"seconds": 1}}},
            resizePolicy=[{"resourceName": "cpu", "restartPolicy": "RestartContainer"}],
            restartPolicy="Never",
            restartPolicyRules=[{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}],
            terminationMessagePath="/x",
            terminationMessagePolicy="FallbackToLogsOnError",
        ),
        initContainers=[
            container("i"),
            container("s", restartPolicy="Always", startupProbe={"tcpSocket": {"port": 1}}),
        ],
        ephemeralContainers=[container("e", targetContainerName="c", stdin=True)],
        readinessGates=[{"conditionType": "a"}],
        schedulingGates=[{"name": "a"}],
        hostAliases=[{"ip": "1.2.3.4", "hostnames": ["x"]}],
        dnsConfig={"nameservers": ["1.2.3.4"]},
        securityContext={"fsGroup": 1, "sysctls": [{"name": "net.core.somaxconn", "value": "1"}]},
        volumes=[
            {"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "d", "emptyDir": {"sizeLimit": "1Mi"}},
            {"name": "h", "hostPath": {"path": "/x"}},
        ],
        activeDeadlineSeconds=5,
        shareProcessNamespace=True,
    )
    made.metadata.finalizers = ["example.com/x"]
    assert support.unimplemented(made) == []


def test_values_that_ask_for_nothing_do_not_warn() -> None:
    made = pod(
        container(terminationMessagePath="/dev/termination-log", envFrom=[]),
        hostUsers=True,
        schedulerName="default-scheduler",
        serviceAccountName="default",
        priority=7,
        preemptionPolicy="PreemptLowerPriority",
        tolerations=[{"operator": "Exists"}],
    )
    assert support.unimplemented(made) == []


def test_the_table_names_only_fields_that_exist() -> None:
    def check(table: support.Table, name: str) -> None:
        properties = schema.definitions()[name]["properties"]
        for field, rule in table.items():
            assert field in properties, f"{name} has no {field}"
            inner = properties[field].get("$ref") or properties[field].get("items", {}).get("$ref")
            if isinstance(rule, dict):
                check(rule, inner)

    check(support._HONOURED[core_v1.Pod], "core.v1.Pod")


def test_other_kinds_do_not_warn() -> None:
    assert support.unimplemented(core_v1.Namespace()) == []
