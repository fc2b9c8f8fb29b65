"""What garbage collection knows and how far it goes. Times are seconds; moments are seconds of a monotonic clock.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/#containers-images
"""

from __future__ import annotations

from dataclasses import dataclass

NEVER = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePolicy:
    """KubeletConfiguration's imageGCHighThresholdPercent, imageGCLowThresholdPercent, image{Minimum,Maximum}GCAge."""

    high_percent: int = 85
    """Disk use from which unused images are deleted; 100: however full the disk is, none is deleted for it."""
    low_percent: int = 80
    min_age: float = 120.0
    max_age: float = 0.0
    """0: an image may be unused for ever."""

    @property
    def by_disk_use(self) -> bool:
        return self.high_percent < 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadContainerPolicy:
    """maximumDeadContainersPerContainer, maximumDeadContainers (negative: any number) and minimumContainerTTL."""

    per_container: int = 1
    total: int = -1
    min_age: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GcSettings:
    images: ImagePolicy = ImagePolicy()
    dead_containers: DeadContainerPolicy = DeadContainerPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpace:
    """Bytes of the file system that has the images. `available`: to who is not root, as df(1) shows it."""

    capacity: int
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """An image by its ID; `size` in bytes."""

    id: str
    size: int
    detected: float
    """When it was first seen; NEVER: it was there before this daemon."""
    last_used: float = NEVER
    """When a container last was seen that has it; NEVER: this daemon has seen none."""
    used: bool = False


def gc_settings(
    *,
    high_percent: int,
    low_percent: int,
    min_age: float,
    max_age: float,
    per_container: int,
    total: int,
    container_min_age: float,
) -> GcSettings:
    """From the configuration's keys. Raises ValueError that names the key, with the kubelet's rules."""
    for key, percent in (
        ("imageGCHighThresholdPercent", high_percent),
        ("imageGCLowThresholdPercent", low_percent),
    ):
        if not 0 <= percent <= 100:
            raise ValueError(f"{key}: {percent} must be between 0 and 100, inclusive")
    if low_percent >= high_percent:
        raise ValueError(
            f"imageGCLowThresholdPercent: {low_percent} must be less than imageGCHighThresholdPercent "
            f"({high_percent})"
        )
    if 0 < max_age <= min_age:
        raise ValueError(
            f"imageMaximumGCAge: {max_age:g}s must be greater than imageMinimumGCAge ({min_age:g}s), "
            "or 0 for images to be kept however long they are unused"
        )
    return GcSettings(
        images=ImagePolicy(
            high_percent=high_percent, low_percent=low_percent, min_age=min_age, max_age=max_age
        ),
        dead_containers=DeadContainerPolicy(
            per_container=per_container, total=total, min_age=container_min_age
        ),
    )
