"""How the text of a configuration value is read: one function per kind of value, ValueError says what was expected."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

UNITS_OF_TIME = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
SIGNALS = (
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "containerfs.available",
    "containerfs.inodesFree",
    "pid.available",
)
"""https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#eviction-signals"""
IFNAMSIZ = 15
"""Longest network interface name (netdevice(7): IFNAMSIZ less the final NUL)."""


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


class Endpoint(NamedTuple):
    """Where to listen."""

    host: str
    port: int


def endpoints(text: str) -> tuple[Endpoint, ...]:
    """Addresses and ports as 127.0.0.1:6443,[::1]:6443."""
    return tuple(map(_endpoint, words(text)))


def _endpoint(word: str) -> Endpoint:
    host, _, port = word.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError('expected an address and a port such as "127.0.0.1:6443" or "[::]:6443"')
    return Endpoint(str(ipaddress.ip_address(host)), int(port))


def switch(text: str) -> bool:
    """true or false."""
    if text.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return text.lower() == "true"


def quantities(text: str) -> Mapping[str, str]:
    """Resource amounts as cpu=500m,memory=1Gi."""
    from minipod.api import quantity

    found = pairs(text)
    for amount in found.values():
        quantity.parse(amount)
    return found


def thresholds(text: str) -> Mapping[str, str]:
    """Eviction signals and what they must not fall below: memory.available<100Mi,nodefs.available<10%."""
    from minipod.api import quantity

    found = pairs(text.replace("<", "="))
    for signal, amount in found.items():
        if signal not in SIGNALS:
            raise ValueError(f"{signal}: expected a signal, one of {', '.join(SIGNALS)}")
        if re.fullmatch(r"\d+(\.\d+)?%", amount):
            if float(amount[:-1]) > 100:
                raise ValueError(f"{signal}: expected a percentage of at most 100%")
        else:
            quantity.parse(amount)
    return found


def durations(text: str) -> Mapping[str, float]:
    """Eviction signals and times: memory.available=90s."""
    return {signal: duration(period) for signal, period in pairs(text).items()}


def pairs(text: str) -> Mapping[str, str]:
    """Labels as key=value,key=value."""
    return dict(_pair(word) for word in words(text))


def _pair(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals:
        raise ValueError(f'expected key=value, got "{word}"')
    return key, value
