"""The files every container of a pod shares: /etc/hosts, /etc/hostname, /etc/resolv.conf.

Host names: https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-hostname-and-subdomain-field;
the hosts file: https://kubernetes.io/docs/tasks/network/customize-hosts-file-for-pods/
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from minipod.api import core_v1
from minipod.kubelet import events
from minipod.kubelet.containers.dns import PodDns, parse_resolv_conf, pod_dns
from minipod.kubelet.settings import NodeSettings

Warnings = tuple[tuple[str, str], ...]
"""What could not be done as asked, as (event reason, message)."""

MAX_HOSTNAME = 63
MAX_KERNEL_HOSTNAME = 64
"""sethostname(2): HOST_NAME_MAX."""

_LOCAL_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


class HostnameError(ValueError):
    """A pod whose name or FQDN the kernel cannot take as a host name."""


@dataclass(frozen=True, slots=True)
class PodHostname:
    """What hostname(1) says (`kernel`), and the pod's short name and domain for its hosts file."""

    kernel: str
    short: str
    domain: str = ""


def pod_hostname(pod: core_v1.Pod, *, cluster_domain: str, host: str) -> PodHostname:
    """The pod's host name; on the host's network it is the host's. Raises HostnameError."""
    spec = pod.spec
    if spec.hostNetwork:
        return PodHostname(host, host)
    if spec.hostnameOverride:
        return PodHostname(spec.hostnameOverride, spec.hostnameOverride)
    short = _truncated(spec.hostname or pod.metadata.name or "")
    if not spec.subdomain:
        return PodHostname(short, short)
    domain = f"{spec.subdomain}.{pod.metadata.namespace}.svc.{cluster_domain}"
    if not spec.setHostnameAsFQDN:
        return PodHostname(short, short, domain)
    fqdn = f"{short}.{domain}"
    if len(fqdn) > MAX_KERNEL_HOSTNAME:
        raise HostnameError(
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {fqdn} is too long "
            f"({MAX_KERNEL_HOSTNAME} characters is the max, {len(fqdn)} characters requested)"
        )
    return PodHostname(fqdn, short, domain)


def hosts_file(pod: core_v1.Pod, name: PodHostname, *, ip: str, host_file: str) -> str:
    """The text of /etc/hosts. `host_file`: the host's own, copied for a pod on the host's network."""
    if pod.spec.hostNetwork:
        text = "# Kubernetes-managed hosts file (host network).\n" + host_file
        if not text.endswith("\n"):
            text += "\n"
    else:
        text = "# Kubernetes-managed hosts file.\n" + _LOCAL_HOSTS
        if ip:
            names = f"{name.short}.{name.domain}\t{name.short}" if name.domain else name.short
            text += f"{ip}\t{names}\n"
    if pod.spec.hostAliases:
        text += "\n# Entries added by HostAliases.\n"
        text += "".join(_line(alias.ip, alias.hostnames) for alias in pod.spec.hostAliases)
    return text


def write_names(pod: core_v1.Pod, directory: Path, name: PodHostname, settings: NodeSettings) -> Warnings:
    """Write hostname, resolv.conf and a first hosts. Raises OSError.

    Containers can be made from then on: what write_hosts adds later shows in the files they have mounted.
    """
    dns = resolve_dns(pod, settings)
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    return (
        *dns.warnings,
        *write_hosts(pod, directory, name, settings, ip=""),
        *_write(directory / "hostname", name.kernel + "\n"),
        *_write(directory / "resolv.conf", dns.conf.render()),
    )


def write_hosts(
    pod: core_v1.Pod, directory: Path, name: PodHostname, settings: NodeSettings, *, ip: str
) -> Warnings:
    """Write hosts with the pod's address, in place, for containers have it mounted. Raises OSError."""
    host_file = _read(settings.host.etc_hosts) if pod.spec.hostNetwork else ""
    return _write(directory / "hosts", hosts_file(pod, name, ip=ip, host_file=host_file))


def resolve_dns(pod: core_v1.Pod, settings: NodeSettings) -> PodDns:
    """The pod's DNS on this host, whose resolv.conf is read anew each time: DHCP may have changed it."""
    return pod_dns(
        pod,
        host=parse_resolv_conf(_read(settings.host.resolv_conf)),
        cluster_dns=settings.cluster_dns,
        cluster_domain=settings.cluster_domain,
    )


def _truncated(name: str) -> str:
    """A host name has 63 characters at most and does not end in what is not a letter or digit."""
    if len(name) <= MAX_HOSTNAME:
        return name
    short = name[:MAX_HOSTNAME].rstrip("-.")
    if not short:
        raise HostnameError(
            f'hostname "{name}" is too long and nothing is left of it at {MAX_HOSTNAME} characters'
        )
    return short


def _line(ip: str, names: Iterable[str]) -> str:
    return "\t".join([ip, *names]) + "\n"


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str) -> Warnings:
    """Containers can write these files but not replace them; O_NOFOLLOW all the same.

    A container may also hold a lease on one (fcntl(2), F_SETLEASE), for which a plain open would wait 45 seconds.
    """
    data = text.encode()
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o644)
    except BlockingIOError:
        return ((events.NOT_AS_ASKED, f"/etc/{path.name} is left as it is: a process holds a lease on it"),)
    try:
        os.fchmod(fd, 0o644)  # every user of the container reads them, whatever the daemon's umask
        if os.pread(fd, len(data) + 1, 0) != data:
            os.truncate(fd, 0)
            os.pwrite(fd, data, 0)
    finally:
        os.close(fd)
    return ()
