"""The pod network: one bridge, one veth pair and one address per pod, hostPorts, and the way out.

What the kernel is asked for takes a lock that all network namespaces of the machine share (rtnl), and may wait for
others' interfaces to die: it happens in one thread, so that the event loop never waits. nft runs in another, and not
at all for a pod without hostPorts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeVar

from minipod.linux.rtnetlink import RouteSocket
from minipod.network.address_book import AddressBook
from minipod.network.bridge import Bridge
from minipod.network.errors import AddressesExhaustedError, HostPortConflictError, NetworkError
from minipod.network.firewall import Firewall
from minipod.network.hostports import Mapping, mappings
from minipod.network.ipam import mac_of, parse_pool
from minipod.network.records import Record
from minipod.network.types import Attachment, HostPort, NetworkConfig
from minipod.network.veth import POD_INTERFACE, VethPairs, veth_name

__all__ = [
    "AddressesExhaustedError",
    "Attachment",
    "HostPort",
    "HostPortConflictError",
    "NetworkConfig",
    "NetworkError",
    "PodNetwork",
]

log = logging.getLogger(__name__)

T = TypeVar("T")

SWEEP_AFTER = 2.0
"""Seconds a cut off veth has to die with its pod's namespace before it is deleted."""


class PodNetwork:
    """The node's pod network, in the network namespace this process is in when `start` is called.

    Raises NetworkError from the constructor when the configuration cannot be.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        self._pods = parse_pool(config.pod_cidr)
        self._book = AddressBook(self._pods, config.state_dir)
        self._firewall = Firewall(config.nft_table, config.bridge, self._pods)
        self._thread = ThreadPoolExecutor(1, "network")
        self._wires: _Wires | None = None
        self._attachments: dict[str, Attachment] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self.obstacles: tuple[str, ...] = ()
        """What else on this host keeps pods' packets back, as found by `start`."""

    @property
    def gateway(self) -> str:
        """The bridge's address, by which pods reach the host."""
        return str(self._pods.network_address + 1)

    # -- the node ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Make bridge, nft table and address book, or take over what an earlier daemon left.

        Idempotent. Pods whose namespace still has its interface are attached as before; interfaces of ours that
        nobody has on record go. Raises NetworkError.
        """
        await self._call(self._start)
        await self._firewall.start(_all_mappings(self._attachments.values()))
        await self._route_loopback()
        self.obstacles = tuple(await self._firewall.obstacles())
        for obstacle in self.obstacles:
            log.warning("%s", obstacle)
        self._sweep_later()

    async def stop(self) -> None:
        """Close the socket and end the threads; pods keep their network."""
        if self._sweeper:
            self._sweeper.cancel()
            self._sweeper = None
        await self._call(self._close)
        self._firewall.close()
        self._thread.shutdown(wait=True)
        self._thread = ThreadPoolExecutor(1, "network")

    async def destroy(self) -> None:
        """Remove bridge, veths, nft table and records; works without `start`. Idempotent. Raises NetworkError.

        A bridge of somebody else's stays, and so does the host's ip_forward: others may rely on it by now.
        """
        await self._call(self._destroy)
        await self._firewall.destroy()

    # -- pods ----------------------------------------------------------------------------------------------------

    async def attach(self, uid: str, netns_path: Path, ports: Sequence[HostPort] = ()) -> Attachment:
        """Give the network namespace at `netns_path` (/proc/PID/ns/net) eth0, an address and a default route.

        A pod that has an address keeps it and gets new interfaces. Raises NetworkError (AddressesExhaustedError,
        HostPortConflictError) and leaves nothing half-made.
        """
        known = self._attachments.get(uid)
        before = _all_mappings([known] if known else [])
        try:
            attachment = await self._call(lambda: self._connect(uid, netns_path, tuple(ports)))
            await self._publish(before, _all_mappings([attachment]))
        except NetworkError:
            await self._publish(before, [])
            await self.detach(uid)
            raise
        return attachment

    async def detach(self, uid: str) -> None:
        """Take a pod off the network and free its address. Idempotent; unknown uids are fine. Raises NetworkError."""
        known = self._attachments.get(uid)
        await self._publish(_all_mappings([known] if known else []), [])
        if await self._call(lambda: self._disconnect(uid)):
            self._sweep_later()

    def attachment(self, uid: str) -> Attachment | None:
        """A pod's attachment, from memory; None for a pod that is not on the network."""
        return self._attachments.get(uid)

    async def retain(self, uids: Collection[str]) -> None:
        """Detach every pod that is not among `uids`. Raises NetworkError."""
        for record in self._book.records():
            if record.uid not in uids:
                await self.detach(record.uid)

    # -- in the network thread -----------------------------------------------------------------------------------

    def _start(self) -> None:
        wires = self._open()
        wires.bridge.ensure()
        stale = self._book.load()
        links = {link.name: link for link in wires.veths.all()}
        self._attachments = {}
        for record in self._book.records():
            link = links.pop(veth_name(self.config.bridge, record.uid), None)
            if link and link.up:
                wires.veths.reconnect(link)
                self._attachments[record.uid] = self._attachment(record, link.index, link.peer, link.mtu)
        for record in stale:
            log.warning(
                "pod %s loses address %s: the pod CIDR was %s and is %s now",
                record.uid,
                record.address,
                record.cidr,
                self._pods,
            )
            self._book.forget(record)
        lost = [link.name for link in links.values() if link.master == wires.bridge.index]
        wires.veths.cut_off(lost)

    def _connect(self, uid: str, netns_path: Path, ports: tuple[HostPort, ...]) -> Attachment:
        wires = self._started()
        record = self._book.allocate(uid, ports)
        mappings(record.address, ports)
        name = veth_name(self.config.bridge, uid)
        host, eth0 = wires.veths.connect(name, netns_path, record.address, f"minipod pod {uid}")
        self._attachments[uid] = self._attachment(record, host, eth0, wires.bridge.mtu)
        return self._attachments[uid]

    def _disconnect(self, uid: str) -> bool:
        """Whether there was anything."""
        if self._book.get(uid) is None:
            return False
        self._started().veths.cut_off([veth_name(self.config.bridge, uid)])
        self._book.release(uid)
        self._attachments.pop(uid, None)
        return True

    def _sweep(self) -> None:
        if self._wires:
            try:
                self._wires.veths.sweep()
            except NetworkError as error:
                log.warning("%s", error)

    def _destroy(self) -> None:
        wires = self._open()
        try:
            found = wires.bridge.find()
        except NetworkError as error:
            log.warning("%s; it stays", error)
            found = None
        self._book.load()
        names = {veth_name(self.config.bridge, record.uid) for record in self._book.records()}
        if found:
            names |= {link.name for link in wires.veths.all() if link.master == found.index}
        wires.veths.cut_off(sorted(names))
        wires.veths.sweep()
        if found:
            wires.bridge.remove()
        self._book.destroy()
        self._attachments = {}
        self._close()

    def _open(self) -> _Wires:
        self._close()
        self._wires = _Wires(self.config, self._pods)
        return self._wires

    def _close(self) -> None:
        if self._wires:
            self._wires.close()
            self._wires = None

    def _started(self) -> _Wires:
        if self._wires is None:
            raise NetworkError(f"the pod network of bridge {self.config.bridge} is not started")
        return self._wires

    def _attachment(self, record: Record, host: int, eth0: int, mtu: int) -> Attachment:
        return Attachment(
            uid=record.uid,
            ip=str(record.address),
            prefix_len=self._pods.prefixlen,
            gateway=self.gateway,
            mac=mac_of(record.address),
            mtu=mtu,
            bridge=self.config.bridge,
            host_interface=veth_name(self.config.bridge, record.uid),
            host_ifindex=host,
            interface=POD_INTERFACE,
            ifindex=eth0,
            host_ports=record.host_ports,
        )

    # -- parts ---------------------------------------------------------------------------------------------------

    async def _publish(self, before: list[Mapping], after: list[Mapping]) -> None:
        """Change what the host answers for on behalf of a pod."""
        if not before and not after:
            return
        await self._firewall.change([mapping for mapping in before if mapping not in after], after)
        await self._route_loopback()

    async def _route_loopback(self) -> None:
        enabled = self._firewall.wants_loopback
        await self._call(lambda: self._started().bridge.route_loopback(enabled=enabled))

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_AFTER, self._sweep_now)

    def _sweep_now(self) -> None:
        self._sweeper = None
        self._thread.submit(self._sweep)


class _Wires:
    """The netlink socket and what is done with it, open while the network is started."""

    def __init__(self, config: NetworkConfig, pods: IPv4Network) -> None:
        self._route = RouteSocket()
        self.bridge = Bridge(self._route, config.bridge, pods, owner=f"minipod {config.state_dir}")
        self.veths = VethPairs(self._route, self.bridge)

    def close(self) -> None:
        self._route.close()


def _all_mappings(attachments: Iterable[Attachment]) -> list[Mapping]:
    return [mapping for a in attachments for mapping in mappings(IPv4Address(a.ip), a.host_ports)]
