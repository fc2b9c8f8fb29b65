"""Capabilities, masks, devices and sysctls."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.kubelet.containers.process import CreateContainerConfigError
from minipod.kubelet.containers.security import forbidden_sysctl, normalize
from minipod.kubelet.containers.security_context import (
    DEFAULT_CAPABILITIES,
    capabilities,
    device_rules,
    no_new_privileges,
    proc_masks,
    read_only_rootfs,
)
from tests.unit.kubelet.pods import capability_names, one, pod

ALL = capability_names()


def granted(available: tuple[str, ...] = ALL, **context: Any) -> set[str]:
    return set(capabilities(one(securityContext=context), available).granted)


def test_the_default_set_is_containerds() -> None:
    bits = sum(1 << ALL.index(name) for name in granted())
    assert bits == 0xA80425FB


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        (["NET_ADMIN"], [], {*DEFAULT_CAPABILITIES, "CAP_NET_ADMIN"}),
        (["CAP_NET_ADMIN"], [], {*DEFAULT_CAPABILITIES, "CAP_NET_ADMIN"}),
        ([], ["KILL"], {*DEFAULT_CAPABILITIES} - {"CAP_KILL"}),
        ([], ["ALL"], set()),
        (["NET_BIND_SERVICE"], ["ALL"], {"CAP_NET_BIND_SERVICE"}),
        (["ALL"], [], set(ALL)),
        (["ALL"], ["SYS_ADMIN"], {*ALL} - {"CAP_SYS_ADMIN"}),
        (["KILL"], ["KILL"], {*DEFAULT_CAPABILITIES} - {"CAP_KILL"}),
    ],
)
def test_capabilities_are_added_and_dropped(add: list[str], drop: list[str], expected: set[str]) -> None:
    assert granted(capabilities={"add": add, "drop": drop}) == expected


def test_a_privileged_container_has_all_this_host_can_give() -> None:
    assert granted(privileged=True) == set(ALL)
    some = tuple(c for c in ALL if c != "CAP_SYS_RESOURCE")
    assert granted(some, privileged=True) == set(some)


def test_what_the_daemon_does_not_have_is_named_when_asked_for() -> None:
    some = tuple(c for c in ALL if c not in ("CAP_SYS_RESOURCE", "CAP_KILL"))
    found = capabilities(one(securityContext={"capabilities": {"add": ["SYS_RESOURCE"]}}), some)
    assert found.lacking == ("CAP_SYS_RESOURCE",)
    assert "CAP_KILL" not in found.granted


@pytest.mark.parametrize("field", ["add", "drop"])
def test_an_unknown_capability_is_an_error_that_names_the_field(field: str) -> None:
    with pytest.raises(CreateContainerConfigError) as caught:
        granted(capabilities={field: ["KILL", "FLY"]})
    path = f"spec.containers[main].securityContext.capabilities.{field}[1]"
    assert str(caught.value) == f'{path}: unknown capability "FLY"'
    assert caught.value.reason == "CreateContainerError"


def test_masks_are_lifted_for_privileged_and_unmasked_containers() -> None:
    masked, readonly = proc_masks(one())
    assert "/proc/kcore" in masked
    assert "/proc/sys" in readonly
    assert proc_masks(one(securityContext={"privileged": True})) == ([], [])
    assert proc_masks(one(securityContext={"procMount": "Unmasked"})) == ([], [])
    assert proc_masks(one(securityContext={"procMount": "Default"})) == (masked, readonly)


@pytest.mark.parametrize(("value", "expected"), [(None, False), (True, False), (False, True)])
def test_only_an_explicit_no_forbids_new_privileges(value: bool | None, expected: bool) -> None:
    assert no_new_privileges(one(securityContext={"allowPrivilegeEscalation": value})) is expected


def test_read_only_root() -> None:
    assert read_only_rootfs(one(securityContext={"readOnlyRootFilesystem": True}))
    assert not read_only_rootfs(one())


def test_devices_are_denied_but_for_the_usual_ones() -> None:
    rules = device_rules(one())
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"} in rules
    assert all(rule["access"] == "m" for rule in rules if rule["allow"] and "major" not in rule)
    assert device_rules(one(securityContext={"privileged": True})) == [{"allow": True, "access": "rwm"}]


@pytest.mark.parametrize(
    ("name", "spec", "allowed", "problem"),
    [
        ("net.ipv4.ip_local_port_range", {}, (), None),
        ("net/ipv4/ip_local_port_range", {}, (), None),
        ("kernel.shm_rmid_forced", {}, (), None),
        ("net.core.somaxconn", {}, (), "not allowlisted"),
        ("net.core.somaxconn", {}, ("net.core.somaxconn",), None),
        ("net.core.somaxconn", {}, ("net.*",), None),
        ("net.core.somaxconn", {"hostNetwork": True}, ("net.*",), "not allowed with host net enabled"),
        ("net.ipv4.tcp_syncookies", {"hostNetwork": True}, (), "not allowed with host net enabled"),
        ("kernel.shm_rmid_forced", {"hostIPC": True}, (), "not allowed with host ipc enabled"),
        ("kernel.msgmax", {}, (), "not allowlisted"),
        ("kernel.msgmax", {}, ("kernel.msg*",), None),
        ("kernel.hostname", {}, ("kernel.*",), "not allowlisted"),  # not namespaced as Kubernetes counts
        ("vm.swappiness", {}, ("vm.*",), "not allowlisted"),
        ("net/../kernel/core_pattern", {}, ("net.*",), "not allowlisted"),
        ("net..kernel.core_pattern", {}, ("net.*",), "not allowlisted"),
    ],
)
def test_sysctls(name: str, spec: dict[str, Any], allowed: tuple[str, ...], problem: str | None) -> None:
    found = forbidden_sysctl(pod(**spec), name, allowed)
    if problem is None:
        assert found is None
    else:
        assert found == f'forbidden sysctl: "{name}" {problem}'


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("net.ipv4.conf.all.rp_filter", "net.ipv4.conf.all.rp_filter"),
        ("net/ipv4/conf/eth0.1/rp_filter", "net.ipv4.conf.eth0/1.rp_filter"),
        ("net.ipv4.conf.eth0/1.rp_filter", "net.ipv4.conf.eth0/1.rp_filter"),
        ("plain", "plain"),
    ],
)
def test_sysctl_separators(name: str, expected: str) -> None:
    assert normalize(name) == expected
