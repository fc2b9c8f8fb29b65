"""The image store's vocabulary: what the kubelet gets to see of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that is whole: every layer is unpacked, ready to be an overlay lowerdir.

    `config` is the `config` object of the OCI image configuration, nulls left out and every known key checked for its
    type: Entrypoint, Cmd, Env (lists of strings), User, WorkingDir, StopSignal (strings), Labels (string -> string),
    Volumes, ExposedPorts (sets, as JSON objects with empty values).
    https://github.com/opencontainers/image-spec/blob/main/config.md
    """

    id: str
    """Digest of the image configuration, "sha256:<64 hex>": what Docker calls the image ID."""
    digest: str
    """Digest of the manifest, or of the index it was chosen from: what name@sha256:... refers to."""
    names: tuple[str, ...] = ()
    """Full names, e.g. docker.io/library/busybox:latest, sorted; none for an image reachable only by its digest."""
    config: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[Path, ...]
    """Unpacked layers, uppermost first. At least one."""
    size: int
    """Bytes of the unpacked layers."""
    created_at: int
    """Microseconds since the epoch: when it was built, or came here where the image does not say."""
