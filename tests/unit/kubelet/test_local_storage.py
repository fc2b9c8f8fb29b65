"""Limits of what a pod writes to disk: which there are, when they are exceeded, when to look again."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.api import core_v1
from minipod.kubelet.eviction.local_storage import (
    AS_OFTEN_AS_THE_KUBELET,
    FILL_RATE,
    LATEST,
    SOONEST,
    Limit,
    StorageLimits,
    StorageUse,
    exceeded,
    seconds_to_next_look,
    storage_limits,
)
from minipod.kubelet.eviction.types import DiskUse, PodDiskUse
from tests.unit.kubelet.pods import container, pod

MI = 1 << 20


def limited(name: str, limit: str, **fields: Any) -> dict[str, Any]:
    return container(name, resources={"limits": {"ephemeral-storage": limit}}, **fields)


def volume(name: str, **source: Any) -> dict[str, Any]:
    return {"name": name, "emptyDir": source}


def use(**mebibytes: float) -> StorageUse:
    """layer_NAME, log_NAME and volume_NAME in Mi."""
    parts: dict[str, dict[str, DiskUse]] = {"layer": {}, "log": {}, "volume": {}}
    for key, amount in mebibytes.items():
        kind, name = key.split("_")
        parts[kind][name] = DiskUse(int(amount * MI), 1)
    return StorageUse(layers=parts["layer"], logs=parts["log"], volumes=parts["volume"])


LIMITS: list[tuple[str, core_v1.Pod, StorageLimits]] = [
    ("none", pod(), StorageLimits()),
    (
        "one container: the pod's is the same",
        pod(limited("a", "1Mi")),
        StorageLimits(containers={"a": Limit(MI, "1Mi")}, pod=Limit(MI, "1Mi")),
    ),
    (
        "the sum over those that have one, as the kubelet",
        pod(limited("a", "1Mi"), limited("b", "512Ki"), container("c")),
        StorageLimits(
            containers={"a": Limit(MI, "1Mi"), "b": Limit(MI // 2, "512Ki")},
            pod=Limit(MI * 3 // 2, "1536Ki"),
        ),
    ),
    (
        "an init container that has more than all others",
        pod(limited("a", "1Mi"), initContainers=[limited("i", "3Mi")]),
        StorageLimits(
            containers={"i": Limit(3 * MI, "3Mi"), "a": Limit(MI, "1Mi")}, pod=Limit(3 * MI, "3Mi")
        ),
    ),
    (
        "decimal units stay decimal",
        pod(limited("a", "100M"), limited("b", "50M")),
        StorageLimits(
            containers={"a": Limit(100_000_000, "100M"), "b": Limit(50_000_000, "50M")},
            pod=Limit(150_000_000, "150M"),
        ),
    ),
    (
        "zero limits the pod and not the container, as the kubelet",
        pod(limited("a", "0")),
        StorageLimits(pod=Limit(0, "0")),
    ),
    (
        "volumes on disk only",
        pod(
            volumes=[
                volume("v", sizeLimit="1Mi"),
                volume("m", sizeLimit="1Mi", medium="Memory"),
                volume("z", sizeLimit="0"),
                volume("open"),
                {"name": "h", "hostPath": {"path": "/x"}},
            ]
        ),
        StorageLimits(volumes={"v": Limit(MI, "1Mi")}),
    ),
]


@pytest.mark.parametrize(("made", "expected"), [row[1:] for row in LIMITS], ids=[row[0] for row in LIMITS])
def test_which_limits_a_pod_has(made: core_v1.Pod, expected: StorageLimits) -> None:
    assert storage_limits(made) == expected


def test_a_pod_without_limits_is_not_watched() -> None:
    assert not storage_limits(pod())
    assert storage_limits(pod(limited("a", "0")))


VOLUME = 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '
POD = "Pod ephemeral local storage usage exceeds the total limit of containers 3Mi. "
CONTAINER = 'Container a exceeded its local ephemeral storage limit "1Mi". '

EXCEEDED: list[tuple[str, StorageUse, str | None]] = [
    ("nothing", use(), None),
    ("just full", use(volume_v=1, layer_a=0.5, log_a=0.5, layer_b=1), None),
    ("the volume", use(volume_v=1.01), VOLUME),
    ("a volume without a limit", use(volume_w=2.9), None),
    ("all together", use(volume_w=1, volume_v=1, layer_a=0.5, log_b=0.6), POD),
    ("layer and log of one container", use(layer_a=0.6, log_a=0.5), CONTAINER),
    ("its log alone", use(log_a=1.1), CONTAINER),
    ("a container without a limit counts for the pod", use(layer_c=3.1), POD),
    ("the volume comes first", use(volume_v=9, layer_a=9), VOLUME),
    ("then the pod", use(layer_a=9), POD),
]


@pytest.mark.parametrize(
    ("seen", "expected"), [row[1:] for row in EXCEEDED], ids=[row[0] for row in EXCEEDED]
)
def test_what_is_said_of_a_pod_that_uses_too_much(seen: StorageUse, expected: str | None) -> None:
    made = pod(
        limited("a", "1Mi"),
        limited("b", "2Mi"),
        container("c"),
        volumes=[volume("v", sizeLimit="1Mi"), volume("w")],
    )
    assert exceeded(storage_limits(made), seen) == expected


def seconds_far(seconds: float) -> Limit:
    amount = int(FILL_RATE * seconds)
    return Limit(amount, str(amount))


PACE: list[tuple[str, StorageLimits, StorageUse, dict[str, float], float]] = [
    ("far away", StorageLimits(pod=seconds_far(9999)), use(), {}, LATEST),
    ("as far as the limit is", StorageLimits(pod=seconds_far(30)), use(), {}, 30),
    (
        "as far as the nearest limit is",
        StorageLimits(
            pod=seconds_far(30), volumes={"v": seconds_far(20)}, containers={"a": seconds_far(25)}
        ),
        use(),
        {},
        20,
    ),
    ("what is used is no longer left", StorageLimits(pod=seconds_far(30)), use(layer_a=2560), {}, 20),
    ("close", StorageLimits(pod=Limit(MI, "1Mi")), use(), {}, SOONEST),
    ("beyond", StorageLimits(pod=Limit(MI, "1Mi")), use(layer_a=2), {}, SOONEST),
    ("close and at rest", StorageLimits(pod=Limit(MI, "1Mi")), use(), {"rested": 4}, 4),
    (
        "close and long at rest",
        StorageLimits(pod=Limit(MI, "1Mi")),
        use(),
        {"rested": 9999},
        AS_OFTEN_AS_THE_KUBELET,
    ),
    ("close and slow to measure", StorageLimits(pod=Limit(MI, "1Mi")), use(), {"took": 2}, 40),
    ("never later than the latest", StorageLimits(pod=Limit(MI, "1Mi")), use(), {"took": 200}, LATEST),
]


@pytest.mark.parametrize(
    ("limits", "seen", "more", "expected"), [row[1:] for row in PACE], ids=[row[0] for row in PACE]
)
def test_when_to_look_again(
    limits: StorageLimits, seen: StorageUse, more: dict[str, float], expected: float
) -> None:
    assert seconds_to_next_look(limits, seen, **more) == pytest.approx(expected, rel=1e-6)


def test_volumes_count_together_when_pods_are_ranked() -> None:
    found = use(layer_a=1, log_a=2, volume_v=3, volume_w=4).for_ranking()
    assert found == PodDiskUse(
        layers={"a": DiskUse(MI, 1)}, logs={"a": DiskUse(2 * MI, 1)}, volumes=DiskUse(7 * MI, 2)
    )
