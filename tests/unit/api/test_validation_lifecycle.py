"""Ports of probes and hooks by name, stop signals, restart rules, ephemeral containers, the probe period."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import codec, core_v1, validation
from minipod.api.validation.pod import PROBE_PERIOD_ANNOTATION
from tests.unit.api.pods import container, pod, refusal

PORTS = [{"containerPort": 80, "name": "http"}, {"containerPort": 81, "name": "metrics"}]
RULE = {"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"livenessProbe": {"httpGet": {"port": "http"}}}, ""),
        ({"lifecycle": {"postStart": {"tcpSocket": {"port": "metrics"}}}}, ""),
        (
            {"livenessProbe": {"httpGet": {"port": "web"}}},
            'livenessProbe.httpGet.port: Invalid value: "web": must be the name of a port of this container: '
            'the ports of this container are named "http", "metrics"',
        ),
        (
            {"startupProbe": {"tcpSocket": {"port": "web"}}},
            'startupProbe.tcpSocket.port: Invalid value: "web": must be the name of a port of this container: '
            'the ports of this container are named "http", "metrics"',
        ),
        (
            {"lifecycle": {"preStop": {"httpGet": {"port": "web"}}}},
            'lifecycle.preStop.httpGet.port: Invalid value: "web": must be the name of a port of this container: '
            'the ports of this container are named "http", "metrics"',
        ),
        (
            {"ports": [{"containerPort": 1}], "readinessProbe": {"tcpSocket": {"port": "web"}}},
            'readinessProbe.tcpSocket.port: Invalid value: "web": must be the name of a port of this container: '
            "no port of this container has a name",
        ),
        (
            {"readinessProbe": {"tcpSocket": {"port": "a_b"}}},
            'readinessProbe.tcpSocket.port: Invalid value: "a_b": must contain only alpha-numeric characters (a-z, '
            "0-9), and hyphens (-)",
        ),
        (
            {"readinessProbe": {"grpc": {"port": 65536}}},
            "readinessProbe.grpc.port: Invalid value: 65536: must be between 1 and 65535, inclusive",
        ),
        (
            {"livenessProbe": {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 0}},
            "livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
        ),
        (
            {"readinessProbe": {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 1}},
            "readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes",
        ),
        (
            {"lifecycle": {"preStop": {"exec": {"command": ["a"]}, "sleep": {"seconds": 1}}}},
            "lifecycle.preStop.sleep: Forbidden: may not specify more than 1 handler type",
        ),
        ({"lifecycle": {"preStop": {}}}, "lifecycle.preStop: Required value: must specify a handler type"),
    ],
)
def test_probes_and_hooks(fields: dict[str, Any], said: str) -> None:
    made = pod(container(**{"ports": PORTS, **fields}))
    assert refusal(made) == (f"spec.containers[0].{said}" if said else "")


def test_a_sidecars_probe_names_a_port_of_its_own() -> None:
    probe = {"httpGet": {"port": "http"}}
    sidecar = container("s", restartPolicy="Always", readinessProbe=probe)
    said = refusal(pod(container(ports=PORTS), initContainers=[sidecar]))
    assert said.startswith(
        'spec.initContainers[0].readinessProbe.httpGet.port: Invalid value: "http": must be'
    )


@pytest.mark.parametrize(
    "field", ["periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"]
)
def test_zero_is_the_default(field: str) -> None:
    made = pod(container(livenessProbe={"tcpSocket": {"port": 1}, field: 0}))
    assert refusal(made) == ""
    assert getattr(made.spec.containers[0].livenessProbe, field) > 0


def test_the_stop_signal_is_one_there_is() -> None:
    assert refusal(pod(container(lifecycle={"stopSignal": "SIGRTMAX-14"}))) == ""
    said = refusal(pod(container(lifecycle={"stopSignal": "SIGNOPE"})))
    assert said.startswith(
        'spec.containers[0].lifecycle.stopSignal: Unsupported value: "SIGNOPE": supported'
    )
    windows = pod(container(lifecycle={"stopSignal": "SIGUSR1"}), os={"name": "windows"})
    assert refusal(windows).endswith('supported values: "SIGKILL", "SIGTERM"')


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"restartPolicy": "Never", "restartPolicyRules": [RULE] * 20}, ""),
        (
            {"restartPolicy": "Never", "restartPolicyRules": [RULE] * 21},
            "restartPolicyRules: Too many: 21: must have at most 20 items",
        ),
        (
            {"restartPolicyRules": [RULE]},
            "restartPolicy: Required value: must specify restartPolicy when restart rules are used",
        ),
        (
            {"restartPolicy": "Sometimes"},
            'restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"',
        ),
        (
            {
                "restartPolicy": "Never",
                "restartPolicyRules": [
                    {"action": "Restart", "exitCodes": {"operator": "In", "values": [1] * 256}}
                ],
            },
            "restartPolicyRules[0].exitCodes.values: Too many: 256: must have at most 255 items",
        ),
        (
            {"restartPolicy": "Never", "restartPolicyRules": [{"action": "Restart"}]},
            "restartPolicyRules[0].exitCodes: Required value: must be specified",
        ),
        (
            {
                "restartPolicy": "Never",
                "restartPolicyRules": [{"action": "Stop", "exitCodes": {"operator": "In", "values": [1]}}],
            },
            'restartPolicyRules[0].action: Unsupported value: "Stop": supported values: "Restart"',
        ),
        (
            {
                "restartPolicy": "Never",
                "restartPolicyRules": [
                    {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}}
                ],
            },
            'restartPolicyRules[0].action: Unsupported value: "RestartAllContainers": '
            'supported values: "Restart"',
        ),
        (
            {
                "restartPolicy": "Never",
                "restartPolicyRules": [{"action": "Restart", "exitCodes": {"values": [1]}}],
            },
            'restartPolicyRules[0].exitCodes.operator: Unsupported value: "": supported values: "In", "NotIn"',
        ),
    ],
)
def test_restart_rules(fields: dict[str, Any], said: str) -> None:
    assert refusal(pod(container(**fields))) == (f"spec.containers[0].{said}" if said else "")
    init = pod(container(), initContainers=[container("i", **fields)])
    assert refusal(init) == (f"spec.initContainers[0].{said}" if said else "")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"ports": [{"containerPort": 1}]}, "ports"),
        ({"resources": {"limits": {"cpu": "1"}}}, "resources"),
        ({"livenessProbe": {"exec": {"command": ["x"]}}}, "livenessProbe"),
        ({"lifecycle": {"preStop": {"exec": {"command": ["x"]}}}}, "lifecycle"),
        ({"restartPolicy": "Always"}, "restartPolicy"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a"}]}, "volumeMounts[0].subPath"),
    ],
)
def test_an_ephemeral_container_is_nothing_to_rely_on(fields: dict[str, Any], place: str) -> None:
    old = pod(container(), volumes=[{"name": "v"}])
    new = pod(container(), volumes=[{"name": "v"}], ephemeralContainers=[container("e", **fields)])
    said = [str(e) for e in validation.validate_ephemeral_containers_update(new, old)]
    assert (
        f"spec.ephemeralContainers[0].{place}: Forbidden: cannot be set for an Ephemeral Container" in said
    )


@pytest.mark.parametrize("text", ["10", "60000", "250"])
def test_a_probe_period(text: str) -> None:
    assert refusal(annotated(text)) == ""


@pytest.mark.parametrize("text", ["", "9", "60001", "1s", "-1", "10.5", "٣٠", "1" * 5000])
def test_a_bad_probe_period(text: str) -> None:
    path = f"metadata.annotations[{PROBE_PERIOD_ANNOTATION}]: Invalid value: "
    wanted = "must be a whole number of milliseconds from 10 to 60000"
    for said in (refusal(annotated(text)), refusal(annotated(text), annotated("100"))):
        assert said.startswith(path)
        assert said.endswith(wanted)


def annotated(text: str) -> core_v1.Pod:
    made = codec.copy(pod())
    made.metadata.annotations[PROBE_PERIOD_ANNOTATION] = text
    return made
