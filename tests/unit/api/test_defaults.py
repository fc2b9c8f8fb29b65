"""The values Kubernetes fills in."""

from __future__ import annotations

import pytest

from minipod.api import codec, core_v1, defaults, meta_v1
from tests.unit.api.pods import container, manifest, pod


def test_a_minimal_pod_becomes_what_the_api_server_stores() -> None:
    assert codec.to_builtins(pod())["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "busybox",
                "imagePullPolicy": "Always",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }


def test_defaulting_twice_changes_nothing() -> None:
    once = pod(
        container(
            ports=[{"containerPort": 80}],
            resources={"limits": {"cpu": "0.5", "memory": "1024Mi"}},
            livenessProbe={"httpGet": {"port": 80}},
            env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        ),
        hostNetwork=True,
        volumes=[
            {"name": "v"},
            {"name": "w", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        ],
    )
    twice = codec.copy(once)
    defaults.set_defaults(twice)
    assert twice == once


def test_what_is_said_stays() -> None:
    said = pod(
        container(
            imagePullPolicy="Never",
            terminationMessagePath="/m",
            terminationMessagePolicy="FallbackToLogsOnError",
        ),
        restartPolicy="Never",
        dnsPolicy="Default",
        terminationGracePeriodSeconds=0,
        enableServiceLinks=False,
        schedulerName="other",
    )
    assert said.spec.restartPolicy == "Never"
    assert said.spec.dnsPolicy == "Default"
    assert said.spec.terminationGracePeriodSeconds == 0
    assert said.spec.enableServiceLinks is False
    assert said.spec.schedulerName == "other"
    assert said.spec.containers[0].imagePullPolicy == "Never"
    assert said.spec.containers[0].terminationMessagePath == "/m"


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:1.36", "IfNotPresent"),
        ("registry:5000/busybox", "Always"),
        ("registry:5000/busybox:1", "IfNotPresent"),
        ("busybox@sha256:" + "0" * 64, "IfNotPresent"),
        ("busybox:latest@sha256:" + "0" * 64, "IfNotPresent"),
        (None, "Always"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str | None, policy: str) -> None:
    assert defaults.default_pull_policy(image) == policy


def test_requests_come_from_limits() -> None:
    made = pod(
        container(resources={"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}}),
        initContainers=[container("i", resources={"limits": {"cpu": "2"}})],
    )
    assert made.spec.containers[0].resources == core_v1.ResourceRequirements(
        limits={"cpu": "1", "memory": "1Gi"}, requests={"cpu": "100m", "memory": "1Gi"}
    )
    assert made.spec.initContainers[0].resources == core_v1.ResourceRequirements(
        limits={"cpu": "2"}, requests={"cpu": "2"}
    )


def test_quantities_are_made_canonical_and_bad_ones_left_to_validation() -> None:
    made = pod(
        container(
            resources={
                "limits": {"cpu": "0.5", "memory": "2048Mi", "x.y/z": "lots"},
                "requests": {"cpu": "0.0001"},
            }
        ),
        volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1024Ki"}}],
    )
    resources = made.spec.containers[0].resources
    assert resources is not None
    assert resources.limits == {"cpu": "500m", "memory": "2Gi", "x.y/z": "lots"}
    assert resources.requests["cpu"] == "1m"
    assert made.spec.volumes[0].emptyDir == core_v1.EmptyDirVolumeSource(sizeLimit="1Mi")


def test_host_network_ports_are_host_ports() -> None:
    made = pod(container(ports=[{"containerPort": 80}]), hostNetwork=True)
    assert made.spec.containers[0].ports == [
        core_v1.ContainerPort(containerPort=80, hostPort=80, protocol="TCP")
    ]


def test_probes_and_hooks() -> None:
    made = pod(
        container(
            livenessProbe={"httpGet": {"port": 80}},
            readinessProbe={"grpc": {"port": 80}, "periodSeconds": 5},
            lifecycle={"preStop": {"httpGet": {"port": 1, "path": "/x", "scheme": "HTTPS"}}},
        )
    )
    one = made.spec.containers[0]
    assert codec.to_builtins(one.livenessProbe) == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert one.readinessProbe is not None
    assert one.readinessProbe.periodSeconds == 5
    assert one.readinessProbe.grpc == core_v1.GRPCAction(port=80, service="")
    assert codec.to_builtins(one.lifecycle) == {
        "preStop": {"httpGet": {"port": 1, "path": "/x", "scheme": "HTTPS"}}
    }


def test_volume_sources() -> None:
    made = pod(
        volumes=[
            {"name": "empty"},
            {"name": "host", "hostPath": {"path": "/x"}},
            {"name": "secret", "secret": {"secretName": "s"}},
            {"name": "map", "configMap": {"name": "m", "defaultMode": 0o400}},
            {
                "name": "down",
                "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]},
            },
            {"name": "all", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        ]
    )
    assert codec.to_builtins(made.spec.volumes) == [
        {"name": "empty", "emptyDir": {}},
        {"name": "host", "hostPath": {"path": "/x", "type": ""}},
        {"name": "secret", "secret": {"secretName": "s", "defaultMode": 420}},
        {"name": "map", "configMap": {"name": "m", "defaultMode": 256}},
        {
            "name": "down",
            "downwardAPI": {
                "items": [{"path": "l", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels"}}],
                "defaultMode": 420,
            },
        },
        {
            "name": "all",
            "projected": {
                "defaultMode": 420,
                "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
            },
        },
    ]


def test_saying_the_zero_value_is_saying_nothing() -> None:
    plain = pod(container(volumeMounts=[{"name": "v", "mountPath": "/v"}]), volumes=[{"name": "v"}])
    wordy = pod(
        container(
            stdin=False,
            tty=False,
            workingDir="",
            volumeMounts=[{"name": "v", "mountPath": "/v", "readOnly": False, "subPath": ""}],
        ),
        hostNetwork=False,
        hostPID=False,
        nodeName="",
        volumes=[{"name": "v", "emptyDir": {"medium": ""}}],
    )
    assert wordy == plain


def test_pod_level_requests_follow_the_containers() -> None:
    made = pod(
        container(resources={"requests": {"cpu": "100m"}}),
        container("d", resources={"requests": {"cpu": "200m"}}),
        resources={"limits": {"cpu": "1", "memory": "1Gi"}},
    )
    assert made.spec.resources == core_v1.ResourceRequirements(
        limits={"cpu": "1", "memory": "1Gi"}, requests={"cpu": "300m", "memory": "1Gi"}
    )


def test_both_names_of_the_service_account_are_given() -> None:
    assert pod(serviceAccount="s").spec.serviceAccountName == "s"
    assert pod(serviceAccountName="s").spec.serviceAccount == "s"


def test_namespaces_and_nodes() -> None:
    namespace = core_v1.Namespace(metadata=meta_v1.ObjectMeta(name="n"))
    defaults.set_defaults(namespace)
    assert namespace.status.phase == "Active"
    assert namespace.metadata.labels == {"kubernetes.io/metadata.name": "n"}
    node = core_v1.Node(status=core_v1.NodeStatus(capacity={"cpu": "2.0", "memory": "1024Mi"}))
    defaults.set_defaults(node)
    assert node.status.capacity == node.status.allocatable == {"cpu": "2", "memory": "1Gi"}


def test_kinds_without_defaults_are_left_alone() -> None:
    reference = core_v1.ObjectReference(name="x")
    defaults.set_defaults(reference)
    assert reference == core_v1.ObjectReference(name="x")


def test_a_template_gets_no_pod_only_defaults() -> None:
    template = codec.from_builtins(core_v1.PodTemplate, {"template": manifest()})
    defaults.set_defaults(template)
    assert template.template is not None
    assert template.template.spec.restartPolicy == "Always"
    assert template.template.spec.enableServiceLinks is None
