"""The volumes' vocabulary: where a volume is once it is set up, and why it cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from minipod.runtime.types import TmpfsMount


class VolumeError(Exception):
    """A volume that cannot be set up now. str() is the text of the FailedMount event."""

    def __init__(self, volume: str, why: str) -> None:
        super().__init__(f'MountVolume.SetUp failed for volume "{volume}" : {why}')
        self.volume = volume


@dataclass(frozen=True, slots=True)
class MountedVolume:
    """`path` is what a container's volumeMount binds (in the shim's mount namespace, for a tmpfs)."""

    name: str
    kind: str
    path: Path
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PodVolumes:
    """All volumes of one pod, by name, and the tmpfs mounts they need in the sandbox."""

    mounted: Mapping[str, MountedVolume] = field(default_factory=dict)
    tmpfs: tuple[TmpfsMount, ...] = ()
