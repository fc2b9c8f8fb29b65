"""Security contexts and the pod as a whole: refused for what Kubernetes refuses, in its words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.pods import container, pod, refusal

Case = tuple[str, list[dict[str, Any]], dict[str, Any], str]
"""What is wrong, the containers, the rest of the spec, and what is said about it."""

SECURITY: list[Case] = [
    (
        "user",
        [container(securityContext={"runAsUser": -1})],
        {},
        "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 4294967295, inclusive",
    ),
    (
        "privileged without escalation",
        [container(securityContext={"privileged": True, "allowPrivilegeEscalation": False})],
        {},
        'spec.containers[0].securityContext: Invalid value: {"allowPrivilegeEscalation": false, "privileged": true}: '
        "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
    ),
    (
        "proc mount",
        [container(securityContext={"procMount": "Open"})],
        {},
        'spec.containers[0].securityContext.procMount: Unsupported value: "Open": supported values: "Default", '
        '"Unmasked"',
    ),
    (
        "proc unmasked with the host's users",
        [container(securityContext={"procMount": "Unmasked"})],
        {},
        'spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use '
        "`Unmasked`",
    ),
    (
        "seccomp",
        [container(securityContext={"seccompProfile": {"type": "Localhost"}})],
        {},
        "spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp "
        "type is Localhost",
    ),
    (
        "AppArmor",
        [container()],
        {"securityContext": {"appArmorProfile": {"type": "RuntimeDefault", "localhostProfile": "x"}}},
        'spec.securityContext.appArmorProfile.localhostProfile: Invalid value: "x": can only be set when AppArmor type '
        "is Localhost",
    ),
    (
        "sysctl name",
        [container()],
        {"securityContext": {"sysctls": [{"name": "net/../x", "value": "1"}]}},
        'spec.securityContext.sysctls[0].name: Invalid value: "net/../x": must have at most 253 characters and match '
        r"regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
    ),
    (
        "same sysctl",
        [container()],
        {"securityContext": {"sysctls": [{"name": "a.b", "value": "1"}, {"name": "a.b", "value": "2"}]}},
        'spec.securityContext.sysctls[1].name: Duplicate value: "a.b"',
    ),
    (
        "the host's sysctl",
        [container()],
        {
            "hostNetwork": True,
            "securityContext": {"sysctls": [{"name": "net/core/somaxconn", "value": "1"}]},
        },
        'spec.securityContext.sysctls[0].name: Invalid value: "net/core/somaxconn": may not be specified when '
        "'hostNetwork' is true",
    ),
    (
        "group change policy",
        [container()],
        {"securityContext": {"fsGroupChangePolicy": "Never"}},
        'spec.securityContext.fsGroupChangePolicy: Unsupported value: "Never": supported values: "Always", '
        '"OnRootMismatch"',
    ),
    (
        "shared and host pids",
        [container()],
        {"hostPID": True, "shareProcessNamespace": True},
        "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot "
        "both be enabled",
    ),
    (
        "own users on the host's network",
        [container()],
        {"hostUsers": False, "hostNetwork": True},
        "spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false",
    ),
]

POD: list[Case] = [
    (
        "restart policy",
        [container()],
        {"restartPolicy": "Sometimes"},
        'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
    ),
    (
        "DNS policy",
        [container()],
        {"dnsPolicy": "Mine"},
        'spec.dnsPolicy: Unsupported value: "Mine": supported values: "ClusterFirstWithHostNet", "ClusterFirst", '
        '"Default", "None"',
    ),
    (
        "DNS None without config",
        [container()],
        {"dnsPolicy": "None"},
        "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
    ),
    (
        "DNS None without server",
        [container()],
        {"dnsPolicy": "None", "dnsConfig": {"searches": ["a"]}},
        "spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None",
    ),
    (
        "too many servers",
        [container()],
        {"dnsConfig": {"nameservers": ["1.1.1.1"] * 4}},
        'spec.dnsConfig.nameservers: Invalid value: ["1.1.1.1", "1.1.1.1", "1.1.1.1", "1.1.1.1"]: must not have more '
        "than 3 nameservers",
    ),
    (
        "server",
        [container()],
        {"dnsConfig": {"nameservers": ["dns"]}},
        'spec.dnsConfig.nameservers[0]: Invalid value: "dns": must be a valid IP address, (e.g. 10.9.8.7 or '
        "2001:db8::ffff)",
    ),
    (
        "option that would be a line of its own",
        [container()],
        {"dnsConfig": {"options": [{"name": "ndots", "value": "1\nnameserver 6.6.6.6"}]}},
        'spec.dnsConfig.options[0].value: Invalid value: "1\\nnameserver 6.6.6.6": must not contain whitespace',
    ),
    (
        "host alias",
        [container()],
        {"hostAliases": [{"ip": "1.2.3", "hostnames": ["a"]}]},
        'spec.hostAliases[0].ip: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    ),
    (
        "host name",
        [container()],
        {"hostname": "a.b"},
        'spec.hostname: Invalid value: "a.b": must not contain dots',
    ),
    (
        "deadline",
        [container()],
        {"activeDeadlineSeconds": 0},
        "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
    ),
    (
        "grace period",
        [container()],
        {"terminationGracePeriodSeconds": -1},
        "spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0",
    ),
    (
        "node selector",
        [container()],
        {"nodeSelector": {"disk": "very fast"}},
        'spec.nodeSelector[disk]: Invalid value: "very fast": a valid label must be an empty string or consist of '
        "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
        "'MyValue',  or 'my_value',  or '12345', regex used for validation is "
        "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ),
    (
        "ephemeral containers",
        [container()],
        {"ephemeralContainers": [container("e")]},
        "spec.ephemeralContainers: Forbidden: cannot be set on create",
    ),
    (
        "node of a gated pod",
        [container()],
        {"nodeName": "n", "schedulingGates": [{"name": "g"}]},
        "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
    ),
    (
        "toleration",
        [container()],
        {"tolerations": [{"operator": "Equal", "value": "x"}]},
        'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which '
        'means "match all values and all keys"',
    ),
    (
        "node affinity",
        [container()],
        {
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
            }
        },
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: "
        "must have at least one node selector term",
    ),
    (
        "operating system",
        [container()],
        {"os": {"name": "plan9"}},
        'spec.os: Unsupported value: "plan9": supported values: "linux", "windows"',
    ),
]


@pytest.mark.parametrize(
    ("containers", "spec", "said"),
    [pytest.param(containers, spec, said, id=name) for name, containers, spec, said in (*SECURITY, *POD)],
)
def test_one_mistake_is_one_message(
    containers: list[dict[str, Any]], spec: dict[str, Any], said: str
) -> None:
    assert refusal(pod(*containers, **spec)) == said
