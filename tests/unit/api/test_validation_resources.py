"""Requests, limits, probes and hooks: refused for what Kubernetes refuses, in its words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.pods import container, pod, refusal

Case = tuple[str, list[dict[str, Any]], dict[str, Any], str]
"""What is wrong, the containers, the rest of the spec, and what is said about it."""

QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

RESOURCES: list[Case] = [
    (
        "negative",
        [container(resources={"limits": {"memory": "-1Mi"}})],
        {},
        'spec.containers[0].resources.limits[memory]: Invalid value: "-1Mi": must be greater than or equal to 0',
    ),
    (
        "unreadable",
        [container(resources={"requests": {"cpu": "lots"}})],
        {},
        f'spec.containers[0].resources.requests[cpu]: Invalid value: "lots": {QUANTITY}',
    ),
    (
        "request above limit",
        [container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}})],
        {},
        'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ),
    (
        "extended resources cannot be overcommitted",
        [container(resources={"limits": {"x.y/gpu": "2"}, "requests": {"x.y/gpu": "1"}})],
        {},
        'spec.containers[0].resources.requests: Invalid value: "1": must be equal to x.y/gpu limit of 2',
    ),
    (
        "extended resources are whole",
        [container(resources={"limits": {"x.y/gpu": "1500m"}})],
        {},
        'spec.containers[0].resources.limits[x.y/gpu]: Invalid value: "1500m": must be an integer',
    ),
    (
        "not a resource",
        [container(resources={"limits": {"color": "1"}})],
        {},
        '[spec.containers[0].resources.limits[color]: Invalid value: "color": must be a standard resource type or '
        'fully qualified, spec.containers[0].resources.limits[color]: Invalid value: "color": must be a standard '
        "resource for containers]",
    ),
    (
        "huge pages alone",
        [container(resources={"limits": {"hugepages-2Mi": "4Mi"}})],
        {},
        "spec.containers[0].resources: Forbidden: HugePages require cpu or memory",
    ),
    (
        "part of a huge page",
        [container(resources={"limits": {"cpu": "1", "hugepages-2Mi": "3Mi"}})],
        {},
        'spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer '
        "multiple of 2Mi",
    ),
    (
        "pod level below the containers",
        [container(resources={"requests": {"cpu": "2"}})],
        {"resources": {"requests": {"cpu": "1"}}},
        'spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container '
        "requests of 2",
    ),
    (
        "resize policy",
        [container(resizePolicy=[{"resourceName": "cpu", "restartPolicy": "x"}])],
        {},
        'spec.containers[0].resizePolicy: Unsupported value: "x": supported values: "NotRequired", "RestartContainer"',
    ),
]

HANDLERS: list[Case] = [
    (
        "none",
        [container(livenessProbe={})],
        {},
        "spec.containers[0].livenessProbe: Required value: must specify a handler type",
    ),
    (
        "two",
        [container(livenessProbe={"exec": {"command": ["x"]}, "tcpSocket": {"port": 1}})],
        {},
        "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
    ),
    (
        "no command",
        [container(lifecycle={"postStart": {"exec": {}}})],
        {},
        "spec.containers[0].lifecycle.postStart.exec.command: Required value",
    ),
    (
        "port",
        [container(startupProbe={"httpGet": {"port": 0}})],
        {},
        "spec.containers[0].startupProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
    ),
    (
        "scheme",
        [container(readinessProbe={"httpGet": {"port": 80, "scheme": "ftp"}})],
        {},
        'spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: "ftp": supported values: "HTTP", "HTTPS"',
    ),
    (
        "negative",
        [container(readinessProbe={"tcpSocket": {"port": 1}, "periodSeconds": -1})],
        {},
        "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
    ),
    (
        "success threshold",
        [container(livenessProbe={"tcpSocket": {"port": 1}, "successThreshold": 2})],
        {},
        "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
    ),
    (
        "sleep beyond the grace period",
        [container(lifecycle={"preStop": {"sleep": {"seconds": 31}}})],
        {},
        "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than "
        "terminationGracePeriodSeconds (30)",
    ),
]


@pytest.mark.parametrize(
    ("containers", "spec", "said"),
    [
        pytest.param(containers, spec, said, id=name)
        for name, containers, spec, said in (*RESOURCES, *HANDLERS)
    ],
)
def test_one_mistake_is_one_message(
    containers: list[dict[str, Any]], spec: dict[str, Any], said: str
) -> None:
    assert refusal(pod(*containers, **spec)) == said
