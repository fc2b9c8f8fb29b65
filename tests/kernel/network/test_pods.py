"""Pods on the bridge: what they have, whom they reach, what is left when they go."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.network.pod_network import AddressesExhaustedError, NetworkConfig, NetworkError, PodNetwork
from tests.helpers.wait import wait_until
from tests.kernel.network.conftest import MachineMaker, NetworkMaker
from tests.kernel.network.machine import IMPATIENCE, Machine, ask, connect_world, links, run, serve


def sysctl(name: str) -> str:
    return Path("/proc/sys/net", name).read_text().strip()


def veths() -> set[str]:
    return {name for name in links() if name.startswith("mp") and not name.startswith("mpt")}


@pytest.fixture
def other_links_come_and_go(pod: MachineMaker) -> Iterator[None]:
    """Elsewhere on the machine links are deleted all the time: whatever needs the kernel's rtnl lock has to wait."""
    elsewhere, done = pod("elsewhere"), threading.Event()

    def churn() -> None:
        while not done.is_set():
            run("ip", "link", "add", "churn0", "type", "veth", "peer", "name", "churn1")
            run("ip", "link", "delete", "churn0")

    thread = threading.Thread(target=lambda: elsewhere.inside(churn))
    thread.start()
    yield
    done.set()
    thread.join()


async def test_a_pod_has_eth0_its_address_and_the_way_out(network: PodNetwork, pod: MachineMaker) -> None:
    web = pod("web")
    made = await network.attach("uid-web", web.netns)
    assert network.attachment("uid-web") == made
    assert (made.ip, made.prefix_len, made.gateway, made.mtu) == ("10.9.0.2", 24, "10.9.0.1", 1500)
    eth0 = web.inside(links)["eth0"]
    assert eth0["address"] == made.mac
    assert eth0["ifindex"] == made.ifindex
    assert eth0["mtu"] == 1500
    assert [(a["local"], a["prefixlen"], a["broadcast"]) for a in eth0["addr_info"]] == [
        ("10.9.0.2", 24, "10.9.0.255")
    ]
    assert "UP" in web.inside(links)["lo"]["flags"]
    assert "default via 10.9.0.1 dev eth0" in web.run("ip", "route")
    host = links()[made.host_interface]
    assert (host["ifindex"], host["master"]) == (made.host_ifindex, made.bridge)
    assert host["ifalias"] == "minipod pod uid-web"


async def test_pods_reach_each_other_and_their_host(network: PodNetwork, pod: MachineMaker) -> None:
    web, client = pod("web"), pod("client")
    web_ip = (await network.attach("web", web.netns)).ip
    client_ip = (await network.attach("client", client.netns)).ip
    web.serve(80)
    node = serve("node", 9000, "0.0.0.0", socket.SOCK_STREAM)
    for protocol in ("TCP", "UDP"):
        assert client.ask(protocol, web_ip, 80) == f"web {client_ip}"
        assert ask(protocol, web_ip, 80) == "web 10.9.0.1"
    assert client.ask("TCP", "10.9.0.1", 9000) == f"node {client_ip}"
    node.close()


async def test_the_first_packet_after_attach_is_not_lost(
    network: PodNetwork, pod: MachineMaker, other_links_come_and_go: None
) -> None:
    web = pod("web")
    web_ip = (await network.attach("web", web.netns)).ip
    web.serve(80)
    for number in range(30):
        client = pod(f"client{number}")
        await network.attach(client.name, client.netns)
        # A lost SYN or ARP request would be repeated after a second.
        assert client.ask("TCP", web_ip, 80, timeout=0.9)


async def test_nor_is_it_when_the_pod_is_the_only_one(
    network: PodNetwork, pod: MachineMaker, other_links_come_and_go: None
) -> None:
    """A bridge without pods has no carrier either."""
    node = serve("node", 9000, "0.0.0.0", socket.SOCK_STREAM)
    for number in range(30):
        only = pod(f"only{number}")
        await network.attach(only.name, only.netns)
        assert only.ask("TCP", "10.9.0.1", 9000, timeout=0.9)
        await network.detach(only.name)
    node.close()


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
async def test_the_world_sees_the_node_in_place_of_a_pod(
    network: PodNetwork, pod: MachineMaker, world: Machine, protocol: str
) -> None:
    client = pod("client")
    await network.attach("client", client.netns)
    assert client.ask(protocol, "198.51.100.2", 7000) == "world 198.51.100.1"


async def test_the_mtu_is_that_of_the_way_out(
    networks: NetworkMaker, config: NetworkConfig, pod: MachineMaker
) -> None:
    connect_world(pod("world"), mtu=1400)
    network = networks(config)
    await network.start()
    client = pod("client")
    assert (await network.attach("client", client.netns)).mtu == 1400
    assert client.inside(links)["eth0"]["mtu"] == 1400
    assert links()[config.bridge]["mtu"] == 1400


async def test_ipv6_is_off_where_pods_could_pose_as_routers(network: PodNetwork, pod: MachineMaker) -> None:
    web = pod("web")
    made = await network.attach("web", web.netns)
    assert sysctl(f"ipv6/conf/{network.config.bridge}/disable_ipv6") == "1"
    assert web.inside(lambda: sysctl("ipv6/conf/eth0/disable_ipv6")) == "1"
    for link in (links()[made.host_interface], links()[network.config.bridge], web.inside(links)["eth0"]):
        assert not [a for a in link["addr_info"] if a["family"] == "inet6"]


async def test_the_node_forwards_and_the_rest_of_this_process_stays_where_it_was(
    network: PodNetwork, pod: MachineMaker
) -> None:
    before = os.readlink("/proc/thread-self/ns/net")
    web = pod("web")
    await network.attach("web", web.netns)
    assert sysctl("ipv4/ip_forward") == "1"
    assert os.readlink("/proc/thread-self/ns/net") == before
    where = await network._call(lambda: os.readlink("/proc/thread-self/ns/net"))
    assert where == before


async def test_fifty_at_once_get_fifty_addresses(network: PodNetwork, pod: MachineMaker) -> None:
    pods = [pod(f"p{n}") for n in range(50)]
    made = await asyncio.gather(*(network.attach(p.name, p.netns) for p in pods))
    assert len({a.ip for a in made}) == 50
    assert veths() == {a.host_interface for a in made}
    pods[0].serve(80)
    assert pods[49].ask("TCP", made[0].ip, 80) == f"p0 {made[49].ip}"


async def test_a_hundred_come_and_go_and_leave_nothing(
    network: PodNetwork, pod: MachineMaker, config: NetworkConfig
) -> None:
    for number in range(100):
        passing = pod(f"p{number}")
        await network.attach(passing.name, passing.netns)
        await network.detach(passing.name)
        passing.end()
    wait_until(lambda: not veths(), message=lambda: f"{veths()} to go with their namespaces")
    assert os.listdir(config.state_dir) == []
    await network.destroy()
    assert list(links()) == ["lo"]
    assert run("nft", "list", "tables") == ""
    assert not config.state_dir.exists()


async def test_a_detached_pod_is_cut_off_though_its_namespace_lives(
    network: PodNetwork, pod: MachineMaker
) -> None:
    web, client = pod("web"), pod("client")
    web_ip = (await network.attach("web", web.netns)).ip
    await network.attach("client", client.netns)
    web.serve(80)
    assert client.ask("TCP", web_ip, 80)
    await network.detach("web")
    assert network.attachment("web") is None
    assert client.ask("TCP", web_ip, 80, timeout=IMPATIENCE) is None


async def test_what_is_cut_off_is_deleted_even_if_its_namespace_lives(
    network: PodNetwork, pod: MachineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minipod.network.pod_network.SWEEP_AFTER", 0.05)
    web = pod("web")
    await network.attach("web", web.netns)
    await network.detach("web")
    await _until(lambda: not veths())
    assert "eth0" not in web.inside(links)


async def test_the_address_of_a_gone_pod_works_for_the_next(
    networks: NetworkMaker, config: NetworkConfig, pod: MachineMaker
) -> None:
    network = networks(NetworkConfig(**{**_fields(config), "pod_cidr": "10.9.0.0/29"}))
    await network.start()
    client = pod("client")
    await network.attach("client", client.netns)
    for number in range(12):
        web = pod(f"web{number}")
        web_ip = (await network.attach(web.name, web.netns)).ip
        web.serve(80)
        assert client.ask("TCP", web_ip, 80, timeout=0.9) == f"web{number} 10.9.0.2"
        await network.detach(web.name)


async def test_a_new_sandbox_of_a_pod_gets_the_pods_address(network: PodNetwork, pod: MachineMaker) -> None:
    first, second, client = pod("first"), pod("second"), pod("client")
    before = await network.attach("web", first.netns)
    await network.attach("client", client.netns)
    after = await network.attach("web", second.netns)
    second.serve(80)
    assert (after.ip, after.host_interface) == (before.ip, before.host_interface)
    assert client.ask("TCP", after.ip, 80, timeout=0.9)
    assert "eth0" not in first.inside(links)


async def test_when_all_addresses_are_gone_a_pod_is_refused_until_one_returns(
    networks: NetworkMaker, config: NetworkConfig, pod: MachineMaker
) -> None:
    network = networks(NetworkConfig(**{**_fields(config), "pod_cidr": "10.9.0.0/29"}))
    await network.start()
    pods = [pod(f"p{n}") for n in range(6)]
    for fits in pods[:5]:
        await network.attach(fits.name, fits.netns)
    with pytest.raises(AddressesExhaustedError, match=r"all 5 pod addresses of 10\.9\.0\.0/29 are in use"):
        await network.attach("p5", pods[5].netns)
    assert network.attachment("p5") is None
    assert "eth0" not in pods[5].inside(links)
    await network.detach("p2")
    assert (await network.attach("p5", pods[5].netns)).ip == "10.9.0.4"


async def test_a_pod_that_cannot_be_attached_leaves_nothing(
    network: PodNetwork, pod: MachineMaker, config: NetworkConfig
) -> None:
    taken = pod("taken")
    taken.run("ip", "link", "add", "eth0", "type", "bridge")
    gone = pod("gone")
    gone.end()
    routed = pod("routed")
    routed.run("ip", "link", "set", "lo", "up")
    routed.run("ip", "route", "add", "default", "dev", "lo")
    for path, says in (
        (taken.netns, "cannot attach mp.* with address 10.9.0.[0-9]+: RTM_NEWLINK.*File exists"),
        (routed.netns, r"RTM_NEWROUTE\(default via 10\.9\.0\.1\): File exists"),
        (gone.netns, f"cannot open the pod's network namespace {gone.netns}: No such file"),
        (Path("/proc/thread-self/ns/net"), "is the host's network namespace"),
        (Path("/etc/hostname"), "setns.*Invalid argument|RTM_NEWLINK.*Invalid"),
    ):
        with pytest.raises(NetworkError, match=says):
            await network.attach("web", path)
        assert network.attachment("web") is None
        assert os.listdir(config.state_dir) == []
        assert veths() == set()


async def test_detach_can_be_repeated_and_needs_no_pod(network: PodNetwork, pod: MachineMaker) -> None:
    web = pod("web")
    await network.attach("web", web.netns)
    for uid in ("web", "web", "never heard of"):
        await network.detach(uid)


async def test_retain_detaches_all_others(
    network: PodNetwork, pod: MachineMaker, config: NetworkConfig
) -> None:
    for name in ("a", "b", "c"):
        await network.attach(name, pod(name).netns)
    await network.retain({"b", "unknown"})
    assert [network.attachment(name) is not None for name in "abc"] == [False, True, False]
    assert os.listdir(config.state_dir) == ["10.9.0.3"]


async def test_two_nodes_on_one_machine_do_not_meet(
    networks: NetworkMaker, config: NetworkConfig, pod: MachineMaker, tmp_path: Path
) -> None:
    other = NetworkConfig(
        bridge=f"{config.bridge}b",
        pod_cidr="10.10.0.0/24",
        nft_table=f"{config.nft_table}b",
        state_dir=tmp_path / "other",
    )
    one, two = networks(config), networks(other)
    await one.start()
    await two.start()
    a, b = pod("a"), pod("b")
    a_ip = (await one.attach("same-uid", a.netns)).ip
    await two.attach("same-uid", b.netns)
    a.serve(80)
    assert b.ask("TCP", a_ip, 80)
    await two.destroy()
    assert ask("TCP", a_ip, 80) == "a 10.9.0.1"


async def test_attaching_is_quick_enough_to_be_no_part_of_a_pods_birth(
    network: PodNetwork, pod: MachineMaker
) -> None:
    """No benchmark: a bound so wide that only a change of shape breaks it (nft or link deletion on the way)."""
    attached, detached = [], []
    for number in range(10):
        web = pod(f"p{number}")
        start = time.perf_counter()
        await network.attach(web.name, web.netns)
        middle = time.perf_counter()
        await network.detach(web.name)
        attached.append(middle - start)
        detached.append(time.perf_counter() - middle)
    assert statistics.median(attached) < 0.05
    assert statistics.median(detached) < 0.05


def _fields(config: NetworkConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in ("bridge", "pod_cidr", "nft_table", "state_dir")}


async def _until(condition) -> None:  # type: ignore[no-untyped-def]
    await asyncio.to_thread(wait_until, condition)
