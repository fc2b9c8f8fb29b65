"""Image names: what users type, and the one full name it stands for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A full image name: registry host, repository path, and a tag or a digest (or both)."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""


def parse(text: str) -> Reference:
    """Parse a name as Docker and containerd do. Raises InvalidReferenceError."""
    raise NotImplementedError


def familiar(name: str) -> str:
    """The short form of a full name, as users type it: docker.io/library/busybox:latest -> busybox:latest."""
    raise NotImplementedError
