"""Pods on the network: each other, the node, host ports."""

from __future__ import annotations

import socket

from tests.helpers.daemon import Daemon
from tests.helpers.manifests import FOREVER, container, pod
from tests.helpers.wait import wait_until

SERVE = "mkdir -p /www; echo page > /www/index.html; httpd -p 8080 -h /www; " + FOREVER


def fetch(node: Daemon, url: str) -> str:
    """What the node itself gets from a URL."""
    code = (
        f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=3).read().decode(), end='')"
    )
    return node.enter("python3", "-c", code, check=False).stdout


def test_containers_of_a_pod_meet_on_loopback_and_pods_by_address(node: Daemon) -> None:
    node.apply(pod("server", container(SERVE, "web"), container(FOREVER, "other")), pod("client"))
    address = node.wait_pod("server")["status"]["podIP"]
    node.wait_pod("client")
    # busybox 1.35 crashes when wget is given -T
    get = ("timeout", "3", "wget", "-q", "-O", "-")
    wait_until(
        lambda: (
            node.cli(
                "exec", "server", "-c", "other", "--", *get, "http://127.0.0.1:8080", check=False
            ).stdout
            == "page\n"
        )
    )
    assert node.out("exec", "client", "--", *get, f"http://{address}:8080") == "page\n"
    assert fetch(node, f"http://{address}:8080") == "page\n"


def test_a_host_port_leads_to_the_pod(node: Daemon) -> None:
    web = container(SERVE, ports=[{"containerPort": 8080, "hostPort": 18080}])
    node.apply(pod("published", web), pod("visitor"))
    node.wait_pod("published")
    node.wait_pod("visitor")
    wait_until(lambda: fetch(node, "http://127.0.0.1:18080") == "page\n")
    gateway = node.out("exec", "visitor", "--", "sh", "-c", "ip route | awk '/default/ {print $3}'").strip()
    assert fetch(node, f"http://{gateway}:18080") == "page\n"
    seen = node.out(
        "exec", "visitor", "--", "timeout", "3", "wget", "-q", "-O", "-", f"http://{gateway}:18080"
    )
    assert seen == "page\n"
    node.cli("delete", "pod", "published")
    assert fetch(node, "http://127.0.0.1:18080") == ""


def test_two_pods_cannot_have_the_same_host_port(node: Daemon) -> None:
    port = {"ports": [{"containerPort": 8080, "hostPort": 18081}]}
    node.apply(pod("first", container(SERVE, **port)))
    node.wait_pod("first")
    node.apply(pod("second", container(SERVE, **port)))
    found = wait_until(
        lambda: next(
            (
                c
                for c in node.pod("second")["status"].get("conditions", [])
                if c.get("reason") == "Unschedulable"
            ),
            None,
        )
    )
    assert "didn't have free ports" in found["message"]
    node.cli("delete", "pod", "first")
    node.wait_pod("second")


def test_host_network_uses_the_nodes_own_interfaces(node: Daemon) -> None:
    serve = SERVE.replace("8080", "18082")
    node.apply(pod("hostnet", container(serve), hostNetwork=True))
    found = node.wait_pod("hostnet")
    assert found["status"]["podIP"] == found["status"]["hostIP"]
    wait_until(lambda: fetch(node, "http://127.0.0.1:18082") == "page\n")


def test_addresses_are_not_handed_out_twice(node: Daemon) -> None:
    names = [f"many-{i}" for i in range(8)]
    node.apply(*[pod(name) for name in names])
    addresses = {node.wait_pod(name)["status"]["podIP"] for name in names}
    assert len(addresses) == len(names)
    assert all(socket.inet_aton(a) for a in addresses)
    node.cli("delete", "pod", *names)
