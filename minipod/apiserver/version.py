"""Which Kubernetes this API is like: the version of the schema it serves."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from minipod import __version__

KUBERNETES_VERSION = "v1.37.0"


@dataclass(frozen=True, slots=True)
class Version:
    """The body of /version."""

    major: str
    minor: str
    gitVersion: str
    gitCommit: str
    gitTreeState: str
    buildDate: str
    goVersion: str
    compiler: str
    platform: str


def version() -> Version:
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return Version(
        major=major,
        minor=minor,
        gitVersion=f"{KUBERNETES_VERSION}+minipod{__version__}",
        gitCommit="",
        gitTreeState="",
        buildDate="1970-01-01T00:00:00Z",
        goVersion="",
        compiler=f"python{platform.python_version()}",
        platform=f"linux/{machine}",
    )
