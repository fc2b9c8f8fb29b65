"""Beginnings and ends of the node's network: what is found, taken over, refused, removed."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from minipod.network.pod_network import HostPort, NetworkConfig, NetworkError, PodNetwork
from minipod.network.veth import veth_name
from tests.helpers.wait import wait_until
from tests.kernel.network.conftest import MachineMaker, NetworkMaker
from tests.kernel.network.machine import IMPATIENCE, Machine, ask, links, run
from tests.kernel.network.test_pods import veths

WEB = [HostPort(container_port=80, host_port=8080)]


def changed(config: NetworkConfig, **fields: object) -> NetworkConfig:
    now = {name: getattr(config, name) for name in ("bridge", "pod_cidr", "nft_table", "state_dir")}
    return NetworkConfig(**{**now, **fields})


async def test_a_second_daemon_takes_over_what_the_first_left(
    networks: NetworkMaker, network: PodNetwork, config: NetworkConfig, pod: MachineMaker
) -> None:
    web, plain = pod("web"), pod("plain")
    web.serve(80)
    before = [await network.attach("web", web.netns, WEB), await network.attach("plain", plain.netns)]
    await network.stop()
    after = networks(config)
    await after.start()
    assert [after.attachment("web"), after.attachment("plain")] == before
    assert ask("TCP", "127.0.0.1", 8080) == "web 10.9.0.1"
    assert plain.ask("TCP", before[0].ip, 80)
    assert (await after.attach("new", pod("new").netns)).ip == "10.9.0.4"
    await after.detach("web")
    assert ask("TCP", "127.0.0.1", 8080, timeout=IMPATIENCE) is None


async def test_starting_twice_changes_nothing(network: PodNetwork, pod: MachineMaker) -> None:
    web = pod("web")
    made = await network.attach("web", web.netns)
    rules, before = run("nft", "list", "ruleset"), _shape(network)
    await network.start()
    assert network.attachment("web") == made
    assert run("nft", "list", "ruleset") == rules
    assert _shape(network) == before


def _shape(network: PodNetwork) -> dict[str, object]:
    return {name: value for name, value in links()[network.config.bridge].items() if name != "linkinfo"}


async def test_a_pod_whose_namespace_died_meanwhile_keeps_its_address_until_it_is_detached(
    networks: NetworkMaker, network: PodNetwork, config: NetworkConfig, pod: MachineMaker
) -> None:
    web = pod("web")
    made = await network.attach("web", web.netns, WEB)
    await network.stop()
    web.end()
    wait_until(lambda: not veths())
    after = networks(config)
    await after.start()
    assert after.attachment("web") is None
    assert "elements" not in run("nft", "list", "table", "inet", config.nft_table)
    assert (await after.attach("other", pod("other").netns)).ip != made.ip
    assert (await after.attach("web", pod("again").netns, WEB)).ip == made.ip


async def test_a_pod_that_was_half_attached_is_not_attached(
    networks: NetworkMaker, network: PodNetwork, config: NetworkConfig, pod: MachineMaker
) -> None:
    """The daemon was killed between the making of the pair and its completion: the host's end is not up."""
    web = pod("web")
    made = await network.attach("web", web.netns)
    await network.stop()
    run("ip", "link", "set", made.host_interface, "down")
    after = networks(config)
    await after.start()
    assert after.attachment("web") is None
    assert (await after.attach("web", web.netns)).ip == made.ip


async def test_interfaces_nobody_has_on_record_go(
    networks: NetworkMaker,
    network: PodNetwork,
    config: NetworkConfig,
    pod: MachineMaker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("minipod.network.pod_network.SWEEP_AFTER", 0.01)
    made = await network.attach("web", pod("web").netns)
    await network.stop()
    (config.state_dir / made.ip).unlink()
    run("ip", "link", "add", "tap7", "type", "veth", "peer", "name", "tap8")
    run("ip", "link", "set", "tap7", "master", config.bridge)
    after = networks(config)
    await after.start()
    await asyncio.to_thread(wait_until, lambda: made.host_interface not in links())
    assert "tap7" in links(), "an interface that is not ours was removed"


async def test_a_deleted_bridge_is_made_again_and_gets_its_pods_back(
    networks: NetworkMaker, network: PodNetwork, config: NetworkConfig, pod: MachineMaker
) -> None:
    web, client = pod("web"), pod("client")
    web_ip = (await network.attach("web", web.netns)).ip
    await network.attach("client", client.netns)
    await network.stop()
    run("ip", "link", "delete", config.bridge)
    after = networks(config)
    await after.start()
    web.serve(80)
    assert client.ask("TCP", web_ip, 80)
    assert ask("TCP", web_ip, 80)


async def test_another_pod_cidr_gives_everybody_a_new_address(
    networks: NetworkMaker, network: PodNetwork, config: NetworkConfig, pod: MachineMaker
) -> None:
    web = pod("web")
    web.serve(80)
    await network.attach("web", web.netns, WEB)
    await network.stop()
    after = networks(changed(config, pod_cidr="10.99.0.0/28"))
    await after.start()
    assert after.attachment("web") is None
    assert [a["local"] for a in links()[config.bridge]["addr_info"]] == ["10.99.0.1"]
    assert os.listdir(config.state_dir) == []
    assert ask("TCP", "127.0.0.1", 8080, timeout=IMPATIENCE) is None
    made = await after.attach("web", web.netns, WEB)
    assert made.ip == "10.99.0.2"
    assert ask("TCP", "127.0.0.1", 8080) == "web 10.99.0.1"
    assert [a["local"] for a in web.inside(links)["eth0"]["addr_info"]] == ["10.99.0.2"]


@pytest.mark.parametrize("kind", ["veth", "ifb", "bridge"])
async def test_a_name_that_is_taken_is_refused(
    networks: NetworkMaker, config: NetworkConfig, kind: str
) -> None:
    run("ip", "link", "add", config.bridge, "type", kind)
    before = links()
    says = "was not made by minipod" if kind == "bridge" else f"is not a bridge but {kind}"
    network = networks(config)
    with pytest.raises(
        NetworkError, match=f"{config.bridge} exists and {says}: give the node another bridge name"
    ):
        await network.start()
    await network.destroy()
    assert links() == before


async def test_a_bridge_of_another_minipod_is_refused(
    networks: NetworkMaker, network: PodNetwork, config: NetworkConfig, tmp_path: Path
) -> None:
    other = networks(changed(config, state_dir=tmp_path / "other", nft_table=f"{config.nft_table}b"))
    with pytest.raises(
        NetworkError, match=f"bridge {config.bridge} exists and belongs to 'minipod {config.state_dir}'"
    ):
        await other.start()
    await other.destroy()
    assert config.bridge in links()


@pytest.mark.parametrize("route", ["10.9.0.0/16", "10.9.0.128/25", "10.0.0.0/8", "10.9.0.0/24"])
async def test_a_pod_cidr_the_host_routes_elsewhere_is_refused(
    networks: NetworkMaker, config: NetworkConfig, world: Machine, route: str
) -> None:
    run("ip", "route", "add", route, "via", "198.51.100.2")
    network = networks(config)
    with pytest.raises(
        NetworkError, match=rf"pod CIDR 10\.9\.0\.0/24 overlaps the host's route {route} by interface up0"
    ):
        await network.start()
    assert config.bridge not in links()
    run("ip", "route", "del", route)
    await network.start()


async def test_without_nft_the_way_out_is_named(
    networks: NetworkMaker, config: NetworkConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = networks(config)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path))
        patched.setattr("minipod.linux.nftables.SBIN", str(tmp_path))
        with pytest.raises(NetworkError, match="install the nftables package"):
            await network.start()
    await network.start()


async def test_a_firewall_that_drops_what_pods_send_is_named(
    networks: NetworkMaker, config: NetworkConfig, caplog: pytest.LogCaptureFixture
) -> None:
    run(
        "nft",
        "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
    )
    network = networks(config)
    await network.start()
    assert [found.split(",")[0] for found in network.obstacles] == [
        "nft chain ip filter FORWARD drops forwarded packets"
    ]
    assert f'iifname or oifname "{config.bridge}"' in caplog.text


async def test_destroy_without_nft_removes_the_rest(
    networks: NetworkMaker, config: NetworkConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("ip", "link", "add", "other0", "type", "bridge")
    network = networks(config)
    await network.start()
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path))
        patched.setattr("minipod.linux.nftables.SBIN", str(tmp_path))
        await network.destroy()
    assert set(links()) == {"lo", "other0"}


async def test_destroy_needs_no_start_and_leaves_nothing(
    networks: NetworkMaker, network: PodNetwork, config: NetworkConfig, pod: MachineMaker
) -> None:
    for name in ("a", "b", "c"):
        await network.attach(name, pod(name).netns, [HostPort(container_port=1, host_port=ord(name))])
    await network.stop()
    purge = networks(config)
    await purge.destroy()
    await purge.destroy()
    assert list(links()) == ["lo"]
    assert run("nft", "list", "ruleset") == ""
    assert run("ip", "route") == ""
    assert not config.state_dir.exists()


async def test_the_state_says_who_has_which_address(
    network: PodNetwork, config: NetworkConfig, pod: MachineMaker
) -> None:
    await network.attach("web", pod("web").netns, WEB)
    assert json.loads((config.state_dir / "10.9.0.2").read_text()) == {
        "uid": "web",
        "cidr": "10.9.0.0/24",
        "hostPorts": [{"containerPort": 80, "hostPort": 8080, "protocol": "TCP", "hostIP": ""}],
    }
    assert config.state_dir.stat().st_mode & 0o777 == 0o700


async def test_what_is_not_started_says_so(
    networks: NetworkMaker, config: NetworkConfig, pod: MachineMaker
) -> None:
    with pytest.raises(NetworkError, match=f"bridge {config.bridge} is not started"):
        await networks(config).attach("web", pod("web").netns)


def test_names_of_veths_fit_and_differ_by_bridge() -> None:
    names = {veth_name(bridge, uid) for bridge in ("a", "b") for uid in ("x", "y", "x" * 300)}
    assert len(names) == 6
    assert all(len(name) <= 15 for name in names)
