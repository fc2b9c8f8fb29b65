"""Devices that a Pod lets its containers open: only by annotation, and exactly those."""

from __future__ import annotations

from typing import Any

from minipod.kubelet.containers.devices import ALLOW_DEVICES, VolumeDevices, volume_devices
from tests.unit.kubelet.pods import container, pod

NULL = {"name": "gift", "hostPath": {"path": "/dev/null", "type": "CharDevice"}}
FILE = {"name": "plain", "hostPath": {"path": "/etc/hosts", "type": "File"}}


def found(allowed: str | None, *volumes: dict[str, Any], **fields: Any) -> VolumeDevices:
    mounts = [
        {"name": v["name"], "mountPath": f"/dev/{v['name']}", **fields.pop("mount", {})} for v in volumes
    ]
    annotations = {ALLOW_DEVICES: allowed} if allowed is not None else {}
    one = pod(
        container(volumeMounts=mounts, **fields),
        volumes=list(volumes),
        metadata={"annotations": annotations},
    )
    return volume_devices(one, one.spec.containers[0])


def test_a_device_is_forbidden_until_the_pod_allows_it() -> None:
    refused = found(None, NULL)
    assert refused.rules == ()
    assert refused.warnings == (
        'volume "gift": the container may not open the device /dev/null, as in Kubernetes; '
        "to let it, annotate the pod with minipod.io/allow-devices: gift",
    )
    assert "allow-devices: other,gift" in found("other", NULL).warnings[0]


def test_an_allowed_device_is_the_one_and_no_other() -> None:
    rule = {"allow": True, "type": "c", "major": 1, "minor": 3}
    assert found("gift", NULL) == VolumeDevices(({**rule, "access": "rw"},))
    assert found(" other , gift", NULL, mount={"readOnly": True}).rules == ({**rule, "access": "r"},)


def test_only_volumes_of_a_device_type_can_be_allowed() -> None:
    (warning,) = found("plain", FILE).warnings
    assert warning.startswith('minipod.io/allow-devices: volume "plain" is no hostPath of type CharDevice')
    assert found(None, FILE) == VolumeDevices()


def test_a_privileged_container_needs_no_rule() -> None:
    assert found("gift", NULL, securityContext={"privileged": True}) == VolumeDevices()


def test_what_is_no_device_after_all_gets_no_rule() -> None:
    odd = {"name": "odd", "hostPath": {"path": "/etc/hosts", "type": "CharDevice"}}
    assert found("odd", odd) == VolumeDevices()
