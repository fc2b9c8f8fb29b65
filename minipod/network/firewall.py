"""The nft table in the kernel, kept equal to the mappings wanted.

Changes that come while nft runs wait and go together in its next run, as one transaction with only what differs: 50
pods with host ports cost a few runs of nft, a pod without any costs none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from typing import TypeVar

from minipod.linux import nftables
from minipod.linux.conntrack import ConntrackSocket, delete_flows_answered_by, delete_untranslated_flows_to
from minipod.network.errors import NetworkError, cause
from minipod.network.hostports import Mapping, check_conflicts
from minipod.network.ruleset import difference, no_table, whole_table

T = TypeVar("T")

log = logging.getLogger(__name__)


class Firewall:
    """One nft table. Methods are called in the event loop; nft runs in a thread of its own."""

    def __init__(self, table: str, bridge: str, pods: IPv4Network) -> None:
        self._table = table
        self._bridge = bridge
        self._pods = pods
        self._wanted: set[Mapping] = set()
        self._applied: frozenset[Mapping] | None = None
        """What the kernel has; None when that is unknown."""
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "nft")

    @property
    def wants_loopback(self) -> bool:
        """Whether the host's 127.0.0.1 answers for any pod."""
        return any(mapping.on_loopback for mapping in self._wanted)

    async def start(self, mappings: Collection[Mapping]) -> None:
        """Make the table anew with these mappings; connections that are open stay so. Raises NetworkError."""
        self._wanted = set(mappings)
        self._applied = None
        await self._settle()

    async def change(self, gone: Collection[Mapping], new: Collection[Mapping]) -> None:
        """Take mappings back (unknown ones are fine) and give others out.

        Raises HostPortConflictError when one is given already, NetworkError; then none of `new` is given.
        """
        self._wanted.difference_update(gone)
        fresh = [mapping for mapping in new if mapping not in self._wanted]
        check_conflicts(fresh, self._wanted)
        self._wanted.update(fresh)
        try:
            await self._settle()
        except BaseException:
            self._wanted.difference_update(fresh)
            raise

    async def obstacles(self) -> list[str]:
        """What in other nft tables keeps packets of pods back, and what to do about it."""
        try:
            chains = await self._run(lambda: nftables.dropping_chains("forward"))
        except OSError as error:
            log.warning("cannot look for firewall rules of others: %s", cause(error))
            return []
        return [
            f"nft chain {chain} drops forwarded packets, pods may not reach the outside nor each other: "
            f'let it accept those with iifname or oifname "{self._bridge}"'
            for chain in chains
        ]

    async def destroy(self) -> None:
        """Remove the table; one that is not there is fine."""
        async with self._turn:
            self._wanted, self._applied = set(), None
            try:
                await self._run(lambda: self._apply(no_table(self._table)))
            except NetworkError as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
                log.warning("%s; it was not looked for", error)

    def close(self) -> None:
        """End the thread. The next call begins another."""
        self._thread.shutdown(wait=True)
        self._thread = ThreadPoolExecutor(1, "nft")

    async def _settle(self) -> None:
        async with self._turn:
            before, after = self._applied, frozenset(self._wanted)
            if before == after:
                return
            self._applied = None
            await self._run(lambda: self._change(before, after))
            self._applied = after

    def _change(self, before: frozenset[Mapping] | None, after: frozenset[Mapping]) -> None:
        if before is None or not self._try(difference(self._table, before, after)):
            self._apply(whole_table(self._table, self._bridge, self._pods, after))
        self._forget_flows((before or frozenset()) - after, after - (before or frozenset()))

    def _try(self, script: str) -> bool:
        try:
            nftables.apply(script)
        except OSError as error:
            # Somebody else changed or flushed the table.
            log.warning("making nft table inet %s anew, a change failed: %s", self._table, cause(error))
            return False
        return True

    def _apply(self, script: str) -> None:
        try:
            nftables.apply(script)
        except OSError as error:
            raise NetworkError(f"cannot apply nft table inet {self._table}: {cause(error)}") from error

    @staticmethod
    def _forget_flows(gone: Collection[Mapping], new: Collection[Mapping]) -> None:
        """Let UDP senders that go on sending notice the change."""
        requests = [delete_flows_answered_by(m.pod_ip, m.pod_port) for m in gone if m.protocol == "udp"]
        requests += [delete_untranslated_flows_to(m.host_port) for m in new if m.protocol == "udp"]
        if not requests:
            return
        try:
            with ConntrackSocket() as conntrack:
                conntrack.request(*requests)
        except OSError as error:
            log.warning("UDP flows to changed host ports may go astray until they pause: %s", cause(error))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
