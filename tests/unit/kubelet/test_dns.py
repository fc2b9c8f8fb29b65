"""resolv.conf by dnsPolicy and dnsConfig."""

from __future__ import annotations

from typing import Any

import pytest

from minipod.kubelet.containers.dns import PodDns, ResolvConf, parse_resolv_conf, pod_dns
from tests.unit.kubelet.pods import pod

HOST = ResolvConf(("192.0.2.53",), ("corp.test",), ("edns0",))
CLUSTER = ("10.96.0.10",)
CLUSTER_SEARCHES = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.test")


def dns(*, cluster: tuple[str, ...] = CLUSTER, host: ResolvConf = HOST, **spec: Any) -> PodDns:
    return pod_dns(pod(**spec), host=host, cluster_dns=cluster, cluster_domain="cluster.local")


@pytest.mark.parametrize(
    ("spec", "nameservers"),
    [
        ({}, CLUSTER),
        ({"dnsPolicy": "ClusterFirst"}, CLUSTER),
        ({"dnsPolicy": "ClusterFirst", "hostNetwork": True}, HOST.nameservers),
        ({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True}, CLUSTER),
        ({"dnsPolicy": "Default"}, HOST.nameservers),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.9"]}}, ("192.0.2.9",)),
    ],
)
def test_the_policy_says_where_names_are_looked_up(
    spec: dict[str, Any], nameservers: tuple[str, ...]
) -> None:
    found = dns(**spec)
    assert found.conf.nameservers == nameservers
    assert found.warnings == ()


def test_cluster_first_searches_the_pods_namespace_first() -> None:
    assert dns().conf == ResolvConf(CLUSTER, CLUSTER_SEARCHES, ("ndots:5",))


def test_without_a_cluster_dns_the_hosts_is_used_with_a_warning() -> None:
    found = dns(cluster=())
    assert found.conf == HOST
    ((reason, message),) = found.warnings
    assert reason == "MissingClusterDNS"
    assert 'Falling back to "Default" policy.' in message


def test_a_config_adds_servers_and_searches_and_replaces_options() -> None:
    found = dns(
        dnsConfig={
            "nameservers": ["192.0.2.1", CLUSTER[0]],
            "searches": ["extra.test"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
        }
    )
    assert found.conf.nameservers == (*CLUSTER, "192.0.2.1")
    assert found.conf.searches == (*CLUSTER_SEARCHES, "extra.test")
    assert found.conf.options == ("ndots:2", "edns0")


def test_what_the_resolver_would_not_read_is_cut_and_named() -> None:
    servers = [f"192.0.2.{i}" for i in range(1, 6)]
    found = dns(
        dnsPolicy="None", dnsConfig={"nameservers": servers, "searches": [f"s{i}.test" for i in range(40)]}
    )
    assert found.conf.nameservers == ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    assert len(found.conf.searches) == 32
    assert [reason for reason, _ in found.warnings] == ["DNSConfigForming"] * 2
    assert "the applied nameserver line is: 192.0.2.1 192.0.2.2 192.0.2.3" in found.warnings[0][1]


def test_a_search_line_has_2048_characters_at_most() -> None:
    found = dns(
        dnsPolicy="None",
        dnsConfig={"nameservers": ["192.0.2.1"], "searches": [c * 200 for c in "abcdefghijkl"]},
    )
    assert len(" ".join(found.conf.searches)) <= 2048
    assert len(found.conf.searches) == 10


def test_reading_a_resolv_conf() -> None:
    text = """
# comment
; another
nameserver 192.0.2.1
nameserver 192.0.2.2 # trailing
search old.test
search a.test b.test.
options ndots:1
options ndots:2 rotate
nonsense
"""
    assert parse_resolv_conf(text) == ResolvConf(
        ("192.0.2.1", "192.0.2.2"), ("a.test", "b.test"), ("ndots:2", "rotate")
    )


def test_writing_and_reading_agree() -> None:
    assert parse_resolv_conf(HOST.render()) == HOST
    assert ResolvConf().render() == ""
