"""hostPorts with real packets: from everywhere, to the right pod, and to nobody else."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from minipod.network.pod_network import (
    HostPort,
    HostPortConflictError,
    NetworkConfig,
    NetworkError,
    PodNetwork,
)
from tests.helpers.wait import wait_until
from tests.kernel.network.conftest import MachineMaker, NetworkMaker
from tests.kernel.network.machine import (
    IMPATIENCE,
    NODE_ADDRESS,
    WORLD_ADDRESS,
    Machine,
    ask,
    run,
    serve,
)
from tests.kernel.network.test_pods import sysctl, veths

BRIDGE = "10.9.0.1"
LOOPBACK = "127.0.0.1"
BRIDGE_NETFILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def ports(number: int, host_ip: str = "", container: int = 80) -> list[HostPort]:
    """The same port on TCP and UDP."""
    return [
        HostPort(container_port=container, host_port=number, protocol=protocol, host_ip=host_ip)
        for protocol in ("TCP", "UDP")
    ]


@pytest.fixture
async def web(network: PodNetwork, pod: MachineMaker, world: Machine) -> Machine:
    """A pod that answers on port 80, and on port 8080 of the node."""
    made = pod("web")
    made.serve(80)
    await network.attach("web", made.netns, ports(8080))
    return made


@pytest.mark.parametrize("address", [LOOPBACK, "127.8.8.8", BRIDGE, NODE_ADDRESS])
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
async def test_the_node_reaches_a_host_port(web: Machine, protocol: str, address: str) -> None:
    seen = NODE_ADDRESS if address == NODE_ADDRESS else BRIDGE
    assert ask(protocol, address, 8080) == f"web {seen}"


@pytest.mark.parametrize("address", [BRIDGE, NODE_ADDRESS])
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
async def test_another_pod_reaches_it(
    network: PodNetwork, pod: MachineMaker, web: Machine, protocol: str, address: str
) -> None:
    client = pod("client")
    await network.attach("client", client.netns)
    assert client.ask(protocol, address, 8080) == f"web {BRIDGE}"


@pytest.mark.parametrize("address", [BRIDGE, NODE_ADDRESS])
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
async def test_the_pod_reaches_itself_by_it(web: Machine, protocol: str, address: str) -> None:
    assert web.ask(protocol, address, 8080) == f"web {BRIDGE}"


@pytest.mark.skipif(not BRIDGE_NETFILTER.exists(), reason="this kernel has no br_netfilter")
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
@pytest.mark.parametrize("passes", ["0", "1"])
async def test_all_of_it_works_whether_or_not_bridged_frames_pass_the_firewall(
    network: PodNetwork, pod: MachineMaker, web: Machine, protocol: str, passes: str
) -> None:
    """They do on every host that also runs Docker or Kubernetes: DNAT then happens inside the bridge."""
    run("sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={passes}")
    client = pod("client")
    client_ip = (await network.attach("client", client.netns)).ip
    assert client.ask(protocol, "10.9.0.2", 80) == f"web {client_ip}"
    for machine in (client, web):
        for address in (BRIDGE, NODE_ADDRESS):
            assert machine.ask(protocol, address, 8080) == f"web {BRIDGE}"
    assert ask(protocol, LOOPBACK, 8080) == f"web {BRIDGE}"


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
async def test_the_world_reaches_it_and_is_seen_as_itself(
    web: Machine, world: Machine, protocol: str
) -> None:
    assert world.ask(protocol, NODE_ADDRESS, 8080) == f"web {WORLD_ADDRESS}"


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
async def test_it_is_gone_with_the_pod(
    network: PodNetwork, web: Machine, world: Machine, protocol: str
) -> None:
    assert world.ask(protocol, NODE_ADDRESS, 8080)
    await network.detach("web")
    assert world.ask(protocol, NODE_ADDRESS, 8080, timeout=IMPATIENCE) is None
    assert ask(protocol, LOOPBACK, 8080, timeout=IMPATIENCE) is None
    assert "elements" not in run("nft", "list", "table", "inet", network.config.nft_table)


async def test_a_host_ip_limits_who_answers(network: PodNetwork, pod: MachineMaker, world: Machine) -> None:
    local, public = pod("local"), pod("public")
    for machine, address in ((local, LOOPBACK), (public, NODE_ADDRESS)):
        machine.serve(80)
        await network.attach(machine.name, machine.netns, ports(8080, address))
    for protocol in ("TCP", "UDP"):
        assert ask(protocol, LOOPBACK, 8080) == f"local {BRIDGE}"
        assert ask(protocol, NODE_ADDRESS, 8080) == f"public {NODE_ADDRESS}"
        assert world.ask(protocol, NODE_ADDRESS, 8080) == f"public {WORLD_ADDRESS}"
        assert ask(protocol, BRIDGE, 8080, timeout=IMPATIENCE) is None


async def test_a_host_ip_of_somebody_else_diverts_nothing(
    network: PodNetwork, pod: MachineMaker, world: Machine
) -> None:
    thief, client = pod("thief"), pod("client")
    thief.serve(7000)
    await network.attach("thief", thief.netns, ports(7000, WORLD_ADDRESS, container=7000))
    await network.attach("client", client.netns)
    for protocol in ("TCP", "UDP"):
        assert ask(protocol, WORLD_ADDRESS, 7000) == f"world {NODE_ADDRESS}"
        assert client.ask(protocol, WORLD_ADDRESS, 7000) == f"world {NODE_ADDRESS}"


async def test_pods_cannot_reach_what_listens_on_the_hosts_loopback(
    network: PodNetwork, web: Machine, pod: MachineMaker
) -> None:
    """route_localnet, which hostPorts on 127.0.0.1 need, would let them (CVE-2020-8558)."""
    secret = serve("secret", 6000, LOOPBACK, socket.SOCK_STREAM)
    attacker = pod("attacker")
    await network.attach("attacker", attacker.netns)
    attacker.run("sysctl", "-qw", "net.ipv4.conf.eth0.route_localnet=1")
    attacker.run("ip", "address", "del", "127.0.0.1/8", "dev", "lo")
    attacker.run("ip", "route", "add", "127.0.0.0/8", "via", BRIDGE, "src", "10.9.0.3")
    attacker.run("ip", "rule", "add", "pref", "0", "to", "127.0.0.0/8", "lookup", "main")
    assert sysctl(f"ipv4/conf/{network.config.bridge}/route_localnet") == "1"
    assert attacker.ask("TCP", LOOPBACK, 6000, timeout=IMPATIENCE) is None
    run("nft", "flush", "chain", "inet", network.config.nft_table, "guard")
    assert attacker.ask("TCP", LOOPBACK, 6000) is not None, "the guard is not what kept the attacker out"
    secret.close()


async def test_loopback_is_routable_only_while_a_host_port_needs_it(
    network: PodNetwork, pod: MachineMaker
) -> None:
    setting = f"ipv4/conf/{network.config.bridge}/route_localnet"
    plain, bound, web = pod("plain"), pod("bound"), pod("web")
    await network.attach("plain", plain.netns)
    await network.attach("bound", bound.netns, ports(8081, BRIDGE))
    assert sysctl(setting) == "0"
    await network.attach("web", web.netns, ports(8080))
    assert sysctl(setting) == "1"
    await network.detach("web")
    assert sysctl(setting) == "0"


async def test_a_port_that_is_given_is_refused_to_the_next_pod(
    network: PodNetwork, web: Machine, pod: MachineMaker, config: NetworkConfig
) -> None:
    late = pod("late")
    with pytest.raises(
        HostPortConflictError, match=r"host port 127\.0\.0\.1:8080/tcp is already taken .*10\.9\.0\.2"
    ):
        await network.attach("late", late.netns, ports(8080, LOOPBACK))
    assert network.attachment("late") is None
    assert [p.name for p in config.state_dir.iterdir()] == ["10.9.0.2"]
    assert ask("TCP", LOOPBACK, 8080) == f"web {BRIDGE}"
    await network.detach("web")
    late.serve(80)
    await network.attach("late", late.netns, ports(8080, LOOPBACK))
    assert ask("TCP", LOOPBACK, 8080) == f"late {BRIDGE}"


async def test_of_two_that_ask_for_a_port_at_once_one_gets_it(
    network: PodNetwork, pod: MachineMaker
) -> None:
    pods = [pod(f"p{n}") for n in range(4)]
    for machine in pods:
        machine.serve(80)
    asked = [network.attach(p.name, p.netns, ports(8080)) for p in pods]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    winners = [p for p, a in zip(pods, answers, strict=True) if not isinstance(a, BaseException)]
    assert len(winners) == 1
    assert sum(isinstance(a, HostPortConflictError) for a in answers) == 3
    assert ask("TCP", LOOPBACK, 8080) == f"{winners[0].name} {BRIDGE}"


async def test_many_at_once_all_get_their_ports_in_few_runs_of_nft(
    network: PodNetwork, pod: MachineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from minipod.linux import nftables

    scripts: list[str] = []
    apply = nftables.apply

    def apply_once_all_are_wired(script: str) -> None:
        scripts.append(script)
        wait_until(lambda: len(veths()) == 20, message="all pods to be on the bridge")
        apply(script)

    monkeypatch.setattr(nftables, "apply", apply_once_all_are_wired)
    pods = [pod(f"p{n}") for n in range(20)]
    for machine in pods:
        machine.serve(80)
    await asyncio.gather(*(network.attach(p.name, p.netns, ports(8000 + n)) for n, p in enumerate(pods)))
    for number, machine in enumerate(pods):
        assert ask("TCP", LOOPBACK, 8000 + number) == f"{machine.name} {BRIDGE}"
    assert all(script.startswith("add element") for script in scripts)
    # The first pod's, and all the others'; the last pod may come a moment after its veth.
    assert 2 <= len(scripts) <= 3


async def test_a_pod_without_host_ports_starts_no_nft(
    network: PodNetwork, pod: MachineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipod.linux.nftables.apply", lambda script: pytest.fail(script))
    plain = pod("plain")
    await network.attach("plain", plain.netns)
    await network.detach("plain")


async def test_a_udp_sender_that_never_pauses_finds_the_pod_that_took_over(
    network: PodNetwork, web: Machine, world: Machine, pod: MachineMaker
) -> None:
    """A flow's NAT is decided once: it must be forgotten when the pod goes, and again when the next one comes."""

    def sends() -> str | None:
        return world.ask("UDP", NODE_ADDRESS, 8080, source_port=5555, timeout=IMPATIENCE)

    assert sends() == f"web {WORLD_ADDRESS}"
    await network.detach("web")
    assert sends() is None
    successor = pod("successor")
    successor.serve(80)
    await network.attach("successor", successor.netns, ports(8080))
    assert sends() == f"successor {WORLD_ADDRESS}"


async def test_a_table_somebody_flushed_is_made_anew_by_the_next_change(
    network: PodNetwork, web: Machine, pod: MachineMaker
) -> None:
    run("nft", "flush", "ruleset")
    other = pod("other")
    other.serve(80)
    await network.attach("other", other.netns, ports(8081))
    assert ask("TCP", LOOPBACK, 8081) == f"other {BRIDGE}"
    assert ask("TCP", LOOPBACK, 8080) == f"web {BRIDGE}"
    run("nft", "flush", "ruleset")
    await network.detach("other")
    assert ask("TCP", LOOPBACK, 8080) == f"web {BRIDGE}"
    assert ask("TCP", LOOPBACK, 8081, timeout=IMPATIENCE) is None


async def test_a_wrong_port_is_refused_before_anything_is_made(
    network: PodNetwork, pod: MachineMaker, config: NetworkConfig
) -> None:
    web = pod("web")
    with pytest.raises(NetworkError, match="hostIP 'fd00::1': expected an IPv4 address"):
        await network.attach("web", web.netns, ports(8080, "fd00::1"))
    assert list(config.state_dir.iterdir()) == []


async def test_open_connections_survive_a_restart_of_the_network(
    networks: NetworkMaker, network: PodNetwork, world: Machine, pod: MachineMaker
) -> None:
    web = pod("web")
    await network.attach("web", web.netns, ports(8080))
    listener = web.inside(lambda: socket.create_server(("0.0.0.0", 80)))
    client = world.inside(lambda: socket.create_connection((NODE_ADDRESS, 8080), timeout=5))
    server, _ = listener.accept()
    await network.stop()
    again = networks(network.config)
    await again.start()
    client.send(b"still there?")
    assert server.recv(100) == b"still there?"
    server.send(b"yes")
    assert client.recv(100) == b"yes"
    for sock in (client, server, listener):
        sock.close()
    web.serve(80)
    wait_until(lambda: ask("TCP", LOOPBACK, 8080) == f"web {BRIDGE}")
