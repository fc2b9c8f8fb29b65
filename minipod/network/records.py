"""The addresses in use, as files: STATE_DIR/10.64.0.2 says which pod has it.

One file per address: link(2) creates it with its content and fails when it is there, so an address on record is
never given twice, not even by a daemon that was killed in the middle. Nothing is fsynced: after a power failure no
pod is alive, and a file lost or empty is an address nobody uses.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Any

from minipod.network.errors import NetworkError, cause
from minipod.network.types import HostPort

SCRATCH = ".new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Pod `uid` has `address`, given from `cidr`, and these ports of the host."""

    uid: str
    address: IPv4Address
    cidr: str
    host_ports: tuple[HostPort, ...] = ()


class RecordStore:
    """The directory of records. One process writes it. OSErrors become NetworkErrors naming the file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def load(self) -> list[Record]:
        """All records, the one made last being last. Makes the directory; files that are not ours stay."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = sorted(os.listdir(self.directory), key=lambda name: (self._age(name), name))
            return [record for record in map(self._read, names) if record]
        except OSError as error:
            raise NetworkError(
                f"cannot read the pod addresses in {self.directory}: {cause(error)}"
            ) from error

    def create(self, record: Record) -> bool:
        """Write a new record; False, and nothing written, when its address has one already."""
        return self._write(record, replace=False)

    def replace(self, record: Record) -> None:
        """Write a record over the one its address has."""
        self._write(record, replace=True)

    def delete(self, address: IPv4Address) -> None:
        """Forget an address; unknown ones are fine."""
        try:
            os.unlink(self.directory / str(address))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise NetworkError(f"cannot free pod address {address}: {cause(error)}") from error

    def destroy(self) -> None:
        """Remove all records, and the directory unless something else is in it."""
        if not self.directory.is_dir():
            return
        for record in self.load():
            self.delete(record.address)
        try:
            (self.directory / SCRATCH).unlink(missing_ok=True)
            self.directory.rmdir()
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise NetworkError(f"cannot remove {self.directory}: {cause(error)}") from error

    def _write(self, record: Record, *, replace: bool) -> bool:
        path, scratch = f"{self.directory}/{record.address}", f"{self.directory}/{SCRATCH}"
        try:
            with open(scratch, "w") as file:
                file.write(json.dumps(to_json(record)))
            if replace:
                os.rename(scratch, path)
                return True
            try:
                os.link(scratch, path)
            except FileExistsError:
                return False
            finally:
                os.unlink(scratch)
        except OSError as error:
            raise NetworkError(f"cannot record pod address {record.address}: {cause(error)}") from error
        return True

    def _age(self, name: str) -> int:
        return os.stat(self.directory / name, follow_symlinks=False).st_mtime_ns

    def _read(self, name: str) -> Record | None:
        try:
            address = IPv4Address(name)
        except AddressValueError:
            return None
        path = self.directory / name
        try:
            return from_json(address, json.loads(path.read_text()))
        except (ValueError, KeyError, TypeError):
            path.unlink()  # cut short by a power failure: whoever had the address is gone
            return None


def to_json(record: Record) -> dict[str, Any]:
    """What the file of a record says."""
    return {
        "uid": record.uid,
        "cidr": record.cidr,
        "hostPorts": [
            {
                "containerPort": port.container_port,
                "hostPort": port.host_port,
                "protocol": port.protocol,
                "hostIP": port.host_ip,
            }
            for port in record.host_ports
        ],
    }


def from_json(address: IPv4Address, found: dict[str, Any]) -> Record:
    """The record in a file's content. Raises ValueError, KeyError or TypeError when it is none."""
    ports = tuple(
        HostPort(
            container_port=int(port["containerPort"]),
            host_port=int(port["hostPort"]),
            protocol=str(port["protocol"]),
            host_ip=str(port["hostIP"]),
        )
        for port in found["hostPorts"]
    )
    return Record(uid=str(found["uid"]), address=address, cidr=str(found["cidr"]), host_ports=ports)
