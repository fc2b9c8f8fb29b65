"""Which images go: pure. The rules are those of the kubelet's image_gc_manager.go.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/#container-image-lifecycle
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from minipod.kubelet.gc.types import NEVER, DiskSpace, ImagePolicy, ImageRecord

Records = Mapping[str, ImageRecord]


def observe(
    before: Records,
    sizes: Mapping[str, int],
    used: Collection[str],
    *,
    now: float,
    ended: Collection[str] = (),
    first: bool = False,
) -> dict[str, ImageRecord]:
    """The records after a look. `sizes`: all images there are, by ID; `used`: IDs of those that are in use.

    An image that has just ceased to be used was in use until now; so were those of pods that `ended` since the last
    look. `first`: what is seen was here before.
    """
    found = {}
    for id_, size in sizes.items():
        old = before.get(id_) or ImageRecord(id=id_, size=size, detected=NEVER if first else now)
        in_use = id_ in used
        last_used = now if in_use or old.used or id_ in ended else old.last_used
        found[id_] = replace(old, size=size, used=in_use, last_used=last_used)
    return found


def bytes_to_free(disk: DiskSpace, policy: ImagePolicy) -> int:
    """How much is to be freed to come down to the low threshold; 0 below the high one."""
    if not policy.by_disk_use or disk.capacity <= 0:
        return 0
    available = min(disk.available, disk.capacity)
    if 100 - available * 100 // disk.capacity < policy.high_percent:
        return 0
    return max(disk.capacity * (100 - policy.low_percent) // 100 - available, 0)


def too_old(records: Records, policy: ImagePolicy, *, now: float, began: float) -> list[ImageRecord]:
    """Unused for longer than the maximum age, counted from the start of this daemon at the earliest."""
    if policy.max_age <= 0:
        return []
    return [r for r in candidates(records) if now - _unused_since(r, began) > policy.max_age]


def candidates(records: Records) -> list[ImageRecord]:
    """Those that no container has, least recently used first, then by when they came."""
    unused = (record for record in records.values() if not record.used)
    return sorted(unused, key=lambda r: (r.last_used, r.detected, r.id))


def removable(records: Records, policy: ImagePolicy, *, now: float) -> list[ImageRecord]:
    """The candidates that are not too young: who has just imported an image is about to use it."""
    return [r for r in candidates(records) if now - r.detected >= policy.min_age]


def wake_at(records: Records, policy: ImagePolicy, *, now: float, began: float, over: bool) -> float | None:
    """When time alone can change the answer; None: never. `over`: the disk is above the high threshold still."""
    moments: list[float] = []
    for record in candidates(records):
        if over and now - record.detected < policy.min_age:
            moments.append(record.detected + policy.min_age)
        if policy.max_age > 0:
            moments.append(_unused_since(record, began) + policy.max_age)
    return min(moments, default=None)


def failed_to_free(wanted: int, freed: int) -> str:
    """The event FreeDiskSpaceFailed."""
    return (
        "Failed to garbage collect required amount of images. "
        f"Attempted to free {wanted} bytes, but only found {freed} bytes eligible to free."
    )


def failed_to_delete(wanted: int, freed: int, errors: Iterable[str]) -> str:
    """The event ImageGCFailed."""
    return (
        f"wanted to free {wanted} bytes, but freed {freed} bytes space with errors in image deletion: "
        f"[{', '.join(errors)}]"
    )


def _unused_since(record: ImageRecord, began: float) -> float:
    return max(record.last_used, record.detected, began)
