"""What of a Pod may change, and what may not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from minipod.api import codec, core_v1, meta_v1, validation
from tests.unit.api.pods import container, pod, refusal

OLD = pod(
    container(env=[{"name": "A", "value": "b"}]),
    activeDeadlineSeconds=100,
    tolerations=[{"key": "a", "operator": "Exists"}],
)
OLD.metadata.uid = "u"
OLD.metadata.creationTimestamp = "2026-01-02T03:04:05Z"
ONLY = (
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
)

Change = Callable[[core_v1.Pod], object]


def changed(change: Change, old: core_v1.Pod = OLD) -> core_v1.Pod:
    new = codec.copy(old)
    change(new)
    return new


@pytest.mark.parametrize(
    "change",
    [
        lambda new: None,
        lambda new: setattr(new.spec.containers[0], "image", "other"),
        lambda new: setattr(new.spec, "activeDeadlineSeconds", 50),
        lambda new: new.metadata.labels.update(a="b"),
        lambda new: new.metadata.annotations.update(a="b"),
        lambda new: new.spec.tolerations.append(core_v1.Toleration(key="b", operator="Exists")),
        lambda new: setattr(new.metadata, "uid", None),
        lambda new: setattr(new.metadata, "creationTimestamp", None),
    ],
)
def test_allowed_changes(change: Change) -> None:
    assert refusal(changed(change), OLD) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda new: setattr(new.spec, "hostname", "h"), ONLY + '  spec.hostname: unset -> "h"'),
        (
            lambda new: setattr(new.spec.containers[0].env[0], "value", "c"),
            ONLY + '  spec.containers[0].env[0].value: "b" -> "c"',
        ),
        (
            lambda new: new.spec.containers[0].resources.limits.update(cpu="1"),
            ONLY + '  spec.containers[0].resources.limits: unset -> {"cpu":"1"}',
        ),
        (
            lambda new: new.spec.containers.append(core_v1.Container(name="d")),
            "spec.containers: Forbidden: pod updates may not add or remove containers",
        ),
        (
            lambda new: setattr(new.spec, "activeDeadlineSeconds", 200),
            "spec.activeDeadlineSeconds: Invalid value: 200: must be less than or equal to previous value",
        ),
        (
            lambda new: setattr(new.spec, "activeDeadlineSeconds", None),
            "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
        ),
        (
            lambda new: new.spec.tolerations.clear(),
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
        ),
        (
            lambda new: new.spec.schedulingGates.append(core_v1.PodSchedulingGate(name="g")),
            "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'",
        ),
        (
            lambda new: setattr(new.metadata, "uid", "v"),
            'metadata.uid: Invalid value: "v": field is immutable',
        ),
        (
            lambda new: setattr(new.metadata, "name", "q"),
            'metadata.name: Invalid value: "q": field is immutable',
        ),
        (
            lambda new: setattr(new.metadata, "deletionTimestamp", "2026-01-02T03:04:05Z"),
            'metadata.deletionTimestamp: Invalid value: "2026-01-02T03:04:05Z": field is immutable',
        ),
        (
            lambda new: new.metadata.labels.update({"a b": "c"}),
            'metadata.labels: Invalid value: "a b": name part must consist of',
        ),
        (
            lambda new: new.metadata.annotations.update({"kubernetes.io/config.mirror": "x"}),
            "metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation",
        ),
        (
            lambda new: setattr(new.spec.containers[0], "image", ""),
            "spec.containers[0].image: Required value",
        ),
    ],
)
def test_refused_changes(change: Change, said: str) -> None:
    found = refusal(changed(change), OLD)
    assert said in found
    assert found.count("metadata.labels:") <= 1


def test_a_pod_on_its_way_out_gets_no_new_finalizers() -> None:
    old = changed(lambda new: setattr(new.metadata, "deletionTimestamp", "2026-01-02T03:04:05Z"))
    new = changed(lambda new: new.metadata.finalizers.append("a.b/c"), old)
    assert "no new finalizers can be added if the object is being deleted" in refusal(new, old)


def test_a_gated_pod_may_be_narrowed_down() -> None:
    old = pod(schedulingGates=[{"name": "g"}], nodeSelector={"a": "b"})
    assert refusal(changed(lambda new: new.spec.nodeSelector.update(c="d"), old), old) == ""
    assert refusal(changed(lambda new: new.spec.schedulingGates.clear(), old), old) == ""
    assert "only additions are allowed" in refusal(
        changed(lambda new: new.spec.nodeSelector.clear(), old), old
    )


def test_judging_a_change_changes_neither() -> None:
    new = changed(lambda new: setattr(new.spec, "hostname", "h"))
    before = codec.encode(new), codec.encode(OLD)
    validation.validate_update(new, OLD)
    assert (codec.encode(new), codec.encode(OLD)) == before


def test_status_updates() -> None:
    old = changed(lambda new: setattr(new.status, "qosClass", "Burstable"))
    fine = changed(lambda new: setattr(new.status, "phase", "Running"), old)
    assert validation.validate_status_update(fine, old) == []
    worse = changed(lambda new: setattr(new.status, "qosClass", "Guaranteed"), old)
    worse.status.podIPs = [core_v1.PodIP(ip="nowhere")]
    assert [error.path for error in validation.validate_status_update(worse, old)] == [
        "status.qosClass",
        "status.podIPs[0].ip",
    ]


def test_the_other_kinds() -> None:
    node = core_v1.Node(metadata=meta_v1.ObjectMeta(name="n"), spec=core_v1.NodeSpec(podCIDR="10.0.0.0/24"))
    moved = codec.copy(node)
    moved.spec.podCIDR = "10.1.0.0/24"
    assert [error.path for error in validation.validate_update(moved, node)] == ["spec.podCIDR"]
    namespace = core_v1.Namespace(metadata=meta_v1.ObjectMeta(name="n"))
    assert validation.validate_update(namespace, namespace) == []
