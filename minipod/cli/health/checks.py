"""What is asked of a host: the facts, what a check is, and what its finding. Pure values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from minipod.cli.health.controllers import Cgroups


class Need(StrEnum):
    REQUIRED = "required"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found on a host. In `trials` an empty text stands for success, any other for the error."""

    kernel: str
    python: tuple[int, ...]
    uid: int
    capabilities: frozenset[str]
    cgroup_mount: str
    cgroup_parent: str = ""
    cgroups: Cgroups = field(default_factory=Cgroups)
    programs: Mapping[str, str] = field(default_factory=dict)
    """Name -> path; "" for one that is not there."""
    trials: Mapping[str, str] = field(default_factory=dict)
    data_dir: str = ""
    data_file_system: str = ""
    data_free: int = 0
    init: str = ""
    ip_forward: str = ""
    default_route: bool = False
    dropping_chains: tuple[str, ...] = ()
    pressure: bool = False
    kernel_options: Mapping[str, str] = field(default_factory=dict)
    """CONFIG_... -> y, m or n, as far as the kernel's configuration is on disk."""
    sysctls: Mapping[str, int] = field(default_factory=dict)
    """Limits by sysctl name; those the kernel does not have are left out."""
    swap: int = 0
    """Bytes."""
    swap_counted: bool = True
    systemd_version: int = 0
    shutdown_delay: float | None = None
    """Seconds for which logind lets a shutdown be delayed; None: there is no logind."""
    shutdown_grace: float = 0.0
    """Seconds that pods have at a shutdown, by the configuration."""


@dataclass(frozen=True, slots=True)
class Result:
    """`detail` is what was found; `fix`, when given, fits this host better than the check's own."""

    good: bool
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """`why` is what it is for, or what is lost without it; `fix` is what to do when it is missing."""

    group: str
    name: str
    need: Need
    test: Callable[[Facts], Result]
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Finding:
    check: Check
    result: Result

    @property
    def fatal(self) -> bool:
        return not self.result.good and self.check.need is Need.REQUIRED

    @property
    def fix(self) -> str:
        """What to do; empty when there is nothing to mend."""
        return "" if self.result.good else self.result.fix or self.check.fix
