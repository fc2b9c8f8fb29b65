"""The daemon's configuration: one value, put together from defaults, a file, the environment and flags.

Later sources win: defaults < `config.yaml` (keys as in KubeletConfiguration: camelCase) < `MINIPOD_NODE_NAME`-like
variables < command-line flags. Every key exists in all of them, because all of them are made from the one list of
fields below. Every path, name and range that the daemon puts on the machine is here, so that two daemons can run
side by side.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

DEFAULT_FILE = Path("/etc/minipod/config.yaml")

UNITS_OF_TIME = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
IFNAMSIZ = 15
"""Longest network interface name (netdevice(7): IFNAMSIZ less the final NUL)."""


class ConfigError(ValueError):
    """A configuration that cannot be used. The message names source and key and says what was expected."""


class CgroupEnforcement(StrEnum):
    """What becomes of a pod that asks for a limit this host has no cgroup controller for."""

    STRICT = "strict"
    BEST_EFFORT = "best-effort"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def duration(text: str) -> float:
    """Seconds in a Go duration such as "10s", "1m30s" or "500ms" (metav1.Duration); a bare number is seconds."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError('expected a duration such as "10s", "1m30s" or "500ms"')
    return sum(float(number) * UNITS_OF_TIME[unit] for number, unit in parts)


def size(text: str) -> int:
    """Bytes in a Kubernetes quantity such as "10Mi"."""
    from minipod.api import quantity

    return quantity.value(text)


def cidr(text: str) -> str:
    """An IPv4 range such as "10.64.0.0/16"."""
    network = ipaddress.IPv4Network(text)
    if network.prefixlen > 30:
        raise ValueError("expected a range of at least four addresses (/30)")
    return str(network)


def address(text: str) -> str:
    """An IP address, or nothing."""
    return str(ipaddress.ip_address(text)) if text else ""


def interface_name(text: str) -> str:
    """A network interface name the kernel takes."""
    if not re.fullmatch(rf"[A-Za-z0-9_.-]{{1,{IFNAMSIZ}}}", text):
        raise ValueError(f"expected an interface name of 1 to {IFNAMSIZ} letters, digits, '.', '_' or '-'")
    return text


def dns_subdomain(text: str) -> str:
    """A DNS subdomain in lower case, as Kubernetes wants node names."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", text):
        raise ValueError("expected lower-case letters, digits, '-' and '.' (a DNS subdomain)")
    return text


def cgroup_name(text: str) -> str:
    """A cgroup path relative to the cgroup2 mount, without leading slash and without dots."""
    if not re.fullmatch(r"[A-Za-z0-9_:@-][A-Za-z0-9_.:@-]*(/[A-Za-z0-9_:@-][A-Za-z0-9_.:@-]*)*", text):
        raise ValueError('expected a relative cgroup path such as "minipod" or "system.slice/minipod"')
    return text


def absolute(text: str) -> Path:
    """An absolute path."""
    path = Path(text)
    if not path.is_absolute():
        raise ValueError("expected an absolute path")
    return path


def words(text: str) -> tuple[str, ...]:
    """A comma-separated list."""
    return tuple(part for part in (p.strip() for p in text.split(",")) if part)


def pairs(text: str) -> Mapping[str, str]:
    """Labels as key=value,key=value."""
    return dict(_pair(word) for word in words(text))


def _pair(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals:
        raise ValueError(f'expected key=value, got "{word}"')
    return key, value


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
    log_format: LogFormat = _key(LogFormat, "text", "the daemon's own log: text or json")
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


def camel(name: str) -> str:
    """node_name -> nodeName, the spelling in the file; abbreviations as Kubernetes spells them (podCIDR, nodeIP)."""
    first, *rest = name.split("_")
    return first + "".join(w.upper() if w in ("cidr", "ip", "dns") else w.title() for w in rest)


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
