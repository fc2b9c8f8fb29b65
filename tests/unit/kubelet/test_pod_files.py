"""Host names and hosts files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from minipod.kubelet.containers.pod_files import (
    HostnameError,
    PodHostname,
    hosts_file,
    pod_hostname,
    write_hosts,
    write_names,
)
from tests.unit.kubelet.pods import host, pod, settings


def hostname(name: str = "web", **spec: Any) -> PodHostname:
    return pod_hostname(pod(name=name, **spec), cluster_domain="cluster.local", host="thehost")


@pytest.mark.parametrize(
    ("spec", "kernel", "domain"),
    [
        ({}, "web", ""),
        ({"hostname": "custom"}, "custom", ""),
        ({"subdomain": "sub"}, "web", "sub.default.svc.cluster.local"),
        ({"hostname": "c", "subdomain": "sub"}, "c", "sub.default.svc.cluster.local"),
        (
            {"hostname": "c", "subdomain": "sub", "setHostnameAsFQDN": True},
            "c.sub.default.svc.cluster.local",
            "sub.default.svc.cluster.local",
        ),
        ({"setHostnameAsFQDN": True}, "web", ""),
        ({"hostNetwork": True, "hostname": "ignored"}, "thehost", ""),
        ({"hostnameOverride": "over.ride"}, "over.ride", ""),
    ],
)
def test_host_names(spec: dict[str, Any], kernel: str, domain: str) -> None:
    found = hostname(**spec)
    assert (found.kernel, found.domain) == (kernel, domain)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a" * 63, "a" * 63),
        ("a" * 80, "a" * 63),
        ("a" * 61 + "-.b", "a" * 61),
        ("a" * 62 + "-" * 5 + "b", "a" * 62),
    ],
)
def test_a_long_name_is_cut_where_a_name_may_end(name: str, expected: str) -> None:
    assert hostname(name).kernel == expected


def test_an_fqdn_the_kernel_cannot_take_is_an_error() -> None:
    with pytest.raises(
        HostnameError, match=r"is too long \(64 characters is the max, 75 characters requested\)"
    ):
        hostname("a" * 45, subdomain="sub", setHostnameAsFQDN=True)


def test_the_hosts_file_of_a_pod() -> None:
    made = pod(
        hostAliases=[{"ip": "192.0.2.7", "hostnames": ["db", "db.test"]}], hostname="h", subdomain="sub"
    )
    text = hosts_file(made, hostname(hostname="h", subdomain="sub"), ip="10.0.0.2", host_file="not used")
    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert "10.0.0.2\th.sub.default.svc.cluster.local\th\n" in text
    assert text.endswith("\n# Entries added by HostAliases.\n192.0.2.7\tdb\tdb.test\n")


def test_on_the_hosts_network_the_hosts_file_is_the_hosts() -> None:
    made = pod(hostNetwork=True, hostAliases=[{"ip": "192.0.2.7", "hostnames": ["db"]}])
    text = hosts_file(made, PodHostname("thehost", "thehost"), ip="192.0.2.1", host_file="127.0.0.1 mine")
    assert text == (
        "# Kubernetes-managed hosts file (host network).\n127.0.0.1 mine\n"
        "\n# Entries added by HostAliases.\n192.0.2.7\tdb\n"
    )


def test_the_files_are_written_for_all_to_read(tmp_path: Path) -> None:
    resolv = tmp_path / "host-resolv.conf"
    resolv.write_text("nameserver 192.0.2.53\n")
    node = settings(host=host(resolv_conf=resolv))
    etc = tmp_path / "etc"
    warnings = write_names(pod(), etc, PodHostname("web", "web"), node)
    write_hosts(pod(), etc, PodHostname("web", "web"), node, ip="10.0.0.2")
    assert [reason for reason, _ in warnings] == ["MissingClusterDNS"]
    assert (etc / "hostname").read_text() == "web\n"
    assert "10.0.0.2\tweb\n" in (etc / "hosts").read_text()
    assert (etc / "resolv.conf").read_text() == "nameserver 192.0.2.53\n"
    assert {oct(f.stat().st_mode & 0o777) for f in etc.iterdir()} == {"0o644"}


HOLD_A_LEASE = """
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], "r+")
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lease_on_the_hosts_file_holds_nobody_up(tmp_path: Path) -> None:
    """A plain open would wait for the lease to be broken: 45 seconds (/proc/sys/fs/lease-break-time)."""
    hosts = tmp_path / "hosts"
    hosts.write_text("old\n")
    command = [sys.executable, "-c", HOLD_A_LEASE, str(hosts)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        began = time.monotonic()
        warnings = write_hosts(pod(), tmp_path, PodHostname("web", "web"), settings(), ip="10.0.0.2")
        assert time.monotonic() - began < 10
        holder.communicate(b"")
    assert hosts.read_text() == "old\n"
    assert [reason for reason, _ in warnings] == ["NotAsAsked"]
    assert str(hosts) not in warnings[0][1]
    assert "hosts is left as it is" in warnings[0][1]


def test_a_hosts_file_that_is_as_it_should_be_is_left_alone(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    name = PodHostname("web", "web")
    assert write_hosts(pod(), tmp_path, name, settings(), ip="10.0.0.2") == ()
    right, inode = hosts.read_text(), hosts.stat().st_ino
    os.utime(hosts, ns=(1, 1))
    write_hosts(pod(), tmp_path, name, settings(), ip="10.0.0.2")
    assert hosts.stat().st_mtime_ns == 1
    for wrong in (right + "more\n", right[:-1], ""):
        hosts.write_text(wrong)
        write_hosts(pod(), tmp_path, name, settings(), ip="10.0.0.2")
        assert hosts.read_text() == right
    assert hosts.stat().st_ino == inode  # it is bind-mounted
