"""A pod's resolv.conf: dnsPolicy and dnsConfig over the host's own, within the resolver's limits.

https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/ and resolv.conf(5)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from minipod.api import core_v1

MAX_NAMESERVERS = 3
MAX_SEARCHES = 32
MAX_SEARCH_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """What a resolv.conf says; options as written ("ndots:5")."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def render(self) -> str:
        lines = [f"search {' '.join(self.searches)}"] if self.searches else []
        lines += [f"nameserver {server}" for server in self.nameservers]
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        return "".join(line + "\n" for line in lines)


class Origin(StrEnum):
    """Where a pod's DNS configuration starts from, before its dnsConfig is added."""

    CLUSTER = "cluster"
    HOST = "host"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class PodDns:
    """A pod's resolv.conf, and what a user should be told about it, as (event reason, message)."""

    conf: ResolvConf
    warnings: tuple[tuple[str, str], ...] = ()


def parse_resolv_conf(text: str) -> ResolvConf:
    """The last search line and the last options line win, as for the resolver."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith(("#", ";")):
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            searches = [w.rstrip(".") or "." for w in words[1:]]
        elif words[0] == "options":
            options = words[1:]
    return ResolvConf(tuple(servers), tuple(searches), tuple(options))


def origin(pod: core_v1.Pod) -> Origin:
    """ClusterFirst on the host's network means the host's DNS; ClusterFirstWithHostNet is there to say otherwise."""
    policy = pod.spec.dnsPolicy or "ClusterFirst"
    if policy == "None":
        return Origin.NONE
    if policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not pod.spec.hostNetwork):
        return Origin.CLUSTER
    return Origin.HOST


def pod_dns(
    pod: core_v1.Pod, *, host: ResolvConf, cluster_dns: tuple[str, ...], cluster_domain: str
) -> PodDns:
    """The pod's DNS configuration. Without a cluster DNS, ClusterFirst falls back to the host's, with a warning."""
    warnings: list[tuple[str, str]] = []
    start = origin(pod)
    if start is Origin.CLUSTER and not cluster_dns:
        warnings.append(
            (
                "MissingClusterDNS",
                f'pod: "{pod.metadata.namespace}/{pod.metadata.name}". kubelet does not have ClusterDNS IP '
                f'configured and cannot create Pod using "{pod.spec.dnsPolicy or "ClusterFirst"}" policy. '
                'Falling back to "Default" policy.',
            )
        )
        start = Origin.HOST
    if start is Origin.CLUSTER:
        domain = [
            f"{pod.metadata.namespace}.svc.{cluster_domain}",
            f"svc.{cluster_domain}",
            cluster_domain,
        ]
        conf = ResolvConf(cluster_dns, _unique([*domain, *host.searches]), ("ndots:5",))
    else:
        conf = host if start is Origin.HOST else ResolvConf()
    conf, exceeded = _fit(_with_config(conf, pod.spec.dnsConfig))
    warnings += [("DNSConfigForming", message) for message in exceeded]
    return PodDns(conf, tuple(warnings))


def _with_config(conf: ResolvConf, config: core_v1.PodDNSConfig | None) -> ResolvConf:
    """dnsConfig adds nameservers and searches, and replaces options of the same name."""
    if config is None:
        return conf
    options = {name: text for text in conf.options for name in [text.partition(":")[0]]}
    for option in config.options:
        name = option.name or ""
        options[name] = f"{name}:{option.value}" if option.value else name
    return ResolvConf(
        _unique([*conf.nameservers, *config.nameservers]),
        _unique([*conf.searches, *config.searches]),
        tuple(options.values()),
    )


def _fit(conf: ResolvConf) -> tuple[ResolvConf, list[str]]:
    """Cut what the resolver would not read, and say so."""
    messages = []
    servers, searches = conf.nameservers, conf.searches
    if len(servers) > MAX_NAMESERVERS:
        servers = servers[:MAX_NAMESERVERS]
        messages.append(
            "Nameserver limits were exceeded, some nameservers have been omitted, "
            f"the applied nameserver line is: {' '.join(servers)}"
        )
    kept = searches[:MAX_SEARCHES]
    while len(" ".join(kept)) > MAX_SEARCH_LENGTH:
        kept = kept[:-1]
    if kept != searches:
        messages.append(
            "Search Line limits were exceeded, some search paths have been omitted, "
            f"the applied search line is: {' '.join(kept)}"
        )
    return ResolvConf(servers, kept, conf.options), messages


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
