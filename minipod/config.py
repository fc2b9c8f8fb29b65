"""The daemon's configuration: one value, put together from defaults, a file, the environment and flags.

Later sources win: defaults < `config.yaml` (keys as in KubeletConfiguration: camelCase) < `MINIPOD_NODE_NAME`-like
variables < command-line flags. Every key exists in all of them, because all of them are made from the one list of
fields below. Every path, name and range that the daemon puts on the machine is here, so that two daemons can run
side by side.
"""

from __future__ import annotations

import dataclasses
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from minipod.config_values import (
    Endpoint,
    absolute,
    address,
    cgroup_name,
    cidr,
    dns_subdomain,
    duration,
    durations,
    endpoints,
    interface_name,
    pairs,
    quantities,
    size,
    switch,
    thresholds,
    words,
)

DEFAULT_FILE = Path("/etc/minipod/config.yaml")


class ConfigError(ValueError):
    """A configuration that cannot be used. The message names source and key and says what was expected."""


class CgroupEnforcement(StrEnum):
    """What becomes of a pod that asks for a limit this host has no cgroup controller for."""

    STRICT = "strict"
    BEST_EFFORT = "best-effort"


class StopPolicy(StrEnum):
    """What becomes of the pods when the service is stopped (a restart leaves them running in any case)."""

    KEEP = "keep"
    STOP = "stop"


class SwapBehavior(StrEnum):
    """KubeletConfiguration memorySwap.swapBehavior: no swap for pods, or each its share (KEP-2400)."""

    NO_SWAP = "NoSwap"
    LIMITED_SWAP = "LimitedSwap"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    JOURNAL = "journal"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def default_node_name() -> str:
    return re.sub(r"[^a-z0-9.-]", "-", socket.gethostname().lower()).strip("-.") or "minipod"


def _key(parse: Callable[[str], Any], text: str, about: str) -> Any:
    """A field: how its text is read, its default as text, and a line for --help."""
    return field(
        default_factory=lambda: parse(text), metadata={"parse": parse, "default": text, "help": about}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of one daemon. Times are seconds, sizes bytes."""

    node_name: str = field(
        default_factory=default_node_name,
        metadata={
            "parse": dns_subdomain,
            "default": "",
            "help": "name of the Node object; default: the host name",
        },
    )
    node_ip: str = _key(
        address, "", "address of this node; default: the one of the default route, else the bridge's"
    )
    node_labels: Mapping[str, str] = _key(pairs, "", "more labels for the Node object: key=value,...")
    data_dir: Path = _key(absolute, "/var/lib/minipod", "state that lasts: database, images, volumes")
    run_dir: Path = _key(absolute, "/run/minipod", "state of this boot: sockets, running pods")
    log_dir: Path = _key(absolute, "/var/log/pods", "container logs in CRI format")
    manifest_dir: Path = _key(absolute, "/etc/minipod/manifests", "drop-in directory of manifests")
    pod_cidr: str = _key(cidr, "10.64.0.0/16", "range that pod addresses come from")
    bridge: str = _key(interface_name, "minipod0", "bridge that pods are attached to")
    nft_table: str = _key(interface_name, "minipod", "nftables table for masquerade and host ports")
    cgroup_parent: str = _key(cgroup_name, "minipod", "cgroup below which all pods live")
    cgroup_enforcement: CgroupEnforcement = _key(
        CgroupEnforcement, "strict", "strict: refuse pods whose limits cannot be enforced; best-effort: warn"
    )
    cluster_domain: str = _key(dns_subdomain, "cluster.local", "DNS domain of pods and services")
    cluster_dns: tuple[str, ...] = _key(words, "", "DNS servers for pods with dnsPolicy ClusterFirst")
    max_pods: int = _key(int, "110", "how many pods this node runs at most")
    allowed_unsafe_sysctls: tuple[str, ...] = _key(
        words, "", "namespaced sysctls beyond the safe set; * at the end"
    )
    crash_loop_initial: float = _key(duration, "10s", "first delay of CrashLoopBackOff")
    crash_loop_maximum: float = _key(duration, "5m", "longest delay of CrashLoopBackOff")
    crash_loop_reset: float = _key(duration, "10m", "a run longer than this is forgiven")
    post_start_timeout: float = _key(
        duration, "10m", "a postStart hook that takes longer has failed; 0: no limit"
    )
    container_log_max_size: int = _key(size, "10Mi", "size at which a container's log is rotated")
    container_log_max_files: int = _key(int, "5", "files kept of one container's log")
    container_log_journal: bool = _key(
        switch, "false", "true: what containers write goes to systemd's journal, too, with POD_NAME=..."
    )
    pod_pids_limit: int = _key(int, "-1", "processes of one pod at most; -1: no limit")
    single_process_oom_kill: bool = _key(
        switch, "false", "true: out of memory kills one process of a container; false: all of it"
    )
    memory_qos: bool = _key(
        switch, "false", "true: memory.min and memory.high from requests and limits (KEP-2570)"
    )
    memory_throttling_factor: float = _key(
        float, "0.9", "with memoryQoS: how much of the room above the request is used before throttling"
    )
    swap_behavior: SwapBehavior = _key(SwapBehavior, "NoSwap", "swap for pods: NoSwap or LimitedSwap")
    system_reserved: Mapping[str, str] = _key(
        quantities, "", "kept for the system, not allocatable: cpu=500m,memory=256Mi,..."
    )
    kube_reserved: Mapping[str, str] = _key(quantities, "", "kept for minipod itself, not allocatable")
    enforce_node_allocatable: tuple[str, ...] = _key(
        words, "pods", "pods: all pods together stay within capacity less what is reserved; none"
    )
    eviction_hard: Mapping[str, str] = _key(
        thresholds,
        "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%",
        "pods are evicted at once below these",
    )
    eviction_soft: Mapping[str, str] = _key(
        thresholds, "", "pods are evicted below these after their grace period"
    )
    eviction_soft_grace_period: Mapping[str, float] = _key(
        durations, "", "how long a soft threshold must be crossed: memory.available=90s,..."
    )
    eviction_max_pod_grace_period: int = _key(
        int, "0", "seconds a pod gets at most when it is evicted for a soft threshold; 0: none"
    )
    eviction_minimum_reclaim: Mapping[str, str] = _key(
        thresholds, "", "how much to free beyond a threshold: nodefs.available=500Mi,..."
    )
    eviction_pressure_transition_period: float = _key(
        duration, "5m", "how long a pressure condition stays after the pressure has gone"
    )
    image_gc_high_threshold_percent: int = _key(int, "85", "disk use from which unused images are deleted")
    image_gc_low_threshold_percent: int = _key(int, "80", "disk use down to which unused images are deleted")
    image_minimum_gc_age: float = _key(duration, "2m", "an unused image is kept at least this long")
    image_maximum_gc_age: float = _key(
        duration, "0", "an image unused for this long is deleted in any case; 0: never"
    )
    maximum_dead_containers_per_container: int = _key(
        int, "1", "ended attempts kept of each container; -1: all"
    )
    maximum_dead_containers: int = _key(int, "-1", "ended attempts kept on the node; -1: any number")
    minimum_container_ttl: float = _key(duration, "0", "an ended attempt is kept at least this long")
    shutdown_grace_period: float = _key(
        duration, "30s", "at a shutdown of the machine: how long all pods together may take to end; 0: none"
    )
    shutdown_grace_period_critical_pods: float = _key(
        duration, "10s", "the part of it that is kept for critical pods"
    )
    pods_on_stop: StopPolicy = _key(
        StopPolicy, "keep", "when the service is stopped: keep pods running, or stop them"
    )
    listen: tuple[Endpoint, ...] = _key(
        endpoints, "", "addresses of the API over HTTPS: 127.0.0.1:6443,...; none: the unix socket only"
    )
    log_format: LogFormat = _key(
        LogFormat, "text", "the daemon's own log: text, json, or journal (systemd's, with POD_NAME=...)"
    )
    log_level: LogLevel = _key(LogLevel, "info", "debug, info, warning or error")

    @property
    def socket(self) -> Path:
        return self.run_dir / "minipod.sock"

    @classmethod
    def from_sources(
        cls,
        *,
        file: Path | None = None,
        environ: Mapping[str, str] = os.environ,
        flags: Mapping[str, str | None] | None = None,
    ) -> Config:
        """Put the sources together.

        `file`: YAML; None means the default one if it exists. `flags`: field name -> text (None: not given).
        Raises ConfigError.
        """
        values: dict[str, Any] = {}
        for key, text in _read_file(file).items():
            values[key] = _parse(key, text, f"{file or DEFAULT_FILE}: {camel(key)}")
        for f in dataclasses.fields(cls):
            if (variable := env_name(f.name)) in environ:
                values[f.name] = _parse(f.name, environ[variable], variable)
        for key, flag in (flags or {}).items():
            if flag is not None:
                values[key] = _parse(key, flag, flag_name(key))
        return cls(**values)


_ABBREVIATIONS = {
    "cidr": "CIDR",
    "ip": "IP",
    "dns": "DNS",
    "gc": "GC",
    "oom": "OOM",
    "qos": "QoS",
    "ttl": "TTL",
}


def camel(name: str) -> str:
    """node_name -> nodeName, the spelling in the file; abbreviations as Kubernetes spells them (podCIDR, nodeIP)."""
    first, *rest = name.split("_")
    return first + "".join(_ABBREVIATIONS.get(word, word.title()) for word in rest)


def flag_name(name: str) -> str:
    return "--" + name.replace("_", "-")


def env_name(name: str) -> str:
    return "MINIPOD_" + name.upper()


def _parse(name: str, text: str, source: str) -> Any:
    metadata = next(f.metadata for f in dataclasses.fields(Config) if f.name == name)
    try:
        return metadata["parse"](text)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}, got {text!r}") from error


def _read_file(path: Path | None) -> dict[str, str]:
    """Field name -> text. Lists and maps are turned into the flags' comma-separated form."""
    if path is None and not DEFAULT_FILE.exists():
        return {}
    path = path or DEFAULT_FILE
    import yaml

    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read configuration {path}: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values")
    names = {camel(f.name): f.name for f in dataclasses.fields(Config)}
    known: dict[str, str] = {}
    for key, value in document.items():
        if key in ("apiVersion", "kind"):
            continue
        if key not in names:
            raise ConfigError(f"{path}: {key}: unknown key; known are {', '.join(sorted(names))}")
        known[names[key]] = _as_text(value)
    return known


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{k}={v}" for k, v in value.items())
    return "" if value is None else str(value)
