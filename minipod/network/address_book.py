"""Who has which address: the pool of the pod CIDR, kept in step with the records on disk."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from minipod.network.ipam import AddressPool
from minipod.network.records import Record, RecordStore
from minipod.network.types import HostPort


class AddressBook:
    """The addresses of one node. An address is on disk before it is anybody's. Used by one thread at a time."""

    def __init__(self, network: IPv4Network, directory: Path) -> None:
        self._store = RecordStore(directory)
        self._pool = AddressPool(network)
        self._by_uid: dict[str, Record] = {}

    def load(self) -> list[Record]:
        """Read the disk. Returns records that count no more: given from another pod CIDR. They are still on disk.

        Raises NetworkError.
        """
        network = self._pool.network
        self._pool, self._by_uid = AddressPool(network), {}
        stale = []
        for record in self._store.load():
            usable = record.cidr == str(network) and self._pool.usable(record.address)
            if not usable or record.uid in self._by_uid:
                stale.append(record)
                continue
            self._pool.claim(record.address)
            self._pool.last = record.address
            self._by_uid[record.uid] = record
        return stale

    def records(self) -> list[Record]:
        return list(self._by_uid.values())

    def get(self, uid: str) -> Record | None:
        return self._by_uid.get(uid)

    def allocate(self, uid: str, host_ports: tuple[HostPort, ...]) -> Record:
        """The pod's record: the one it has, with these ports, or a new one.

        Raises AddressesExhaustedError, and NetworkError when it cannot be written.
        """
        known = self._by_uid.get(uid)
        if known is None:
            return self._new(uid, host_ports)
        if known.host_ports != host_ports:
            known = Record(uid=uid, address=known.address, cidr=known.cidr, host_ports=host_ports)
            self._store.replace(known)
            self._by_uid[uid] = known
        return known

    def _new(self, uid: str, host_ports: tuple[HostPort, ...]) -> Record:
        cidr = str(self._pool.network)
        while True:
            address = self._pool.allocate()
            record = Record(uid=uid, address=address, cidr=cidr, host_ports=host_ports)
            try:
                created = self._store.create(record)
            except BaseException:
                self._pool.release(address)
                raise
            if created:
                self._by_uid[uid] = record
                return record
            # On record, though not by us: it stays taken, and the search goes on.

    def release(self, uid: str) -> None:
        """Free the pod's address; a pod without one is fine. Raises NetworkError."""
        record = self._by_uid.get(uid)
        if record is not None:
            self._store.delete(record.address)
            self._pool.release(record.address)
            del self._by_uid[uid]

    def forget(self, record: Record) -> None:
        """Remove a stale record from disk."""
        self._store.delete(record.address)

    def destroy(self) -> None:
        """Remove all records and their directory."""
        self._store.destroy()
        self._pool, self._by_uid = AddressPool(self._pool.network), {}
