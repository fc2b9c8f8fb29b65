"""The TLS side of the API's listeners: one context, whose certificate is replaced in time without a restart.

The library that makes certificates takes 10 MB; it is needed for a moment once in months, so another process has it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from minipod.linux.addresses import is_change, open_changes

log = logging.getLogger(__name__)

PKI_DIRECTORY = "pki"
"""Below the data directory."""
RETRY = 3600.0
"""Seconds after which a failed renewal is tried again: there is a third of the certificate's life left."""
SETTLING = 1.0
"""Seconds in which several changes of addresses are taken for one."""
LONGEST_SLEEP = 24 * 3600.0
"""Seconds; the clock of a machine that slept, or was set, is looked at again after that."""


class CertificateError(Exception):
    """The API cannot be served over TLS. The message says why and what to do."""


class ServingCertificate:
    """`names` says, each time it is asked, what clients may call this server. `context` is good from start() on."""

    def __init__(self, directory: Path, names: Callable[[], Sequence[str]]) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Whoever shows a certificate must show a good one; whoever shows none is anonymous.
        self.context.verify_mode = ssl.CERT_OPTIONAL
        self._directory = directory
        self._names = names
        self._named: frozenset[str] = frozenset()
        self._renew_at = 0.0

    async def start(self) -> None:
        """Raises CertificateError."""
        await self._renew()
        self.context.load_verify_locations(str(self._directory / "ca.crt"))

    async def run(self) -> None:
        """Renew for ever: when two thirds of the certificate's life are over, and when there is another name."""
        changed = asyncio.Event()
        changed.set()  # nobody has listened since start()
        loop = asyncio.get_running_loop()
        with open_changes() as changes:
            loop.add_reader(changes, _hear, changes, changed)
            try:
                while True:
                    try:
                        await self._until_due(changed)
                        await self._renew()
                    except (CertificateError, OSError) as error:
                        # OSError: no more processes or descriptors at this moment.
                        log.error("%s; trying again in an hour", error)
                        await asyncio.sleep(RETRY)
                        changed.set()  # what had changed is still to be seen to
            finally:
                loop.remove_reader(changes)

    async def _until_due(self, changed: asyncio.Event) -> None:
        while (left := self._renew_at - time.time()) > 0:
            try:
                await asyncio.wait_for(changed.wait(), min(left, LONGEST_SLEEP))
            except TimeoutError:
                continue
            await asyncio.sleep(SETTLING)
            changed.clear()
            if not self._named >= set(self._names()):
                return

    async def _renew(self) -> None:
        names = self._names()
        argv = (sys.executable, "-I", "-m", "minipod.pki", str(self._directory), *names)
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, problem = await process.communicate()
        try:
            if process.returncode:
                raise ValueError(problem.decode(errors="replace").strip())
            self._renew_at = float(out)
            self.context.load_cert_chain(str(self._directory / "server.pem"))
        except (ValueError, OSError) as error:
            raise CertificateError(f"no certificate for the API: {error}") from error
        self._named = frozenset(names)


def serving_names(
    addresses: Iterable[str], *, node_name: str, node_ip: str, cluster_domain: str
) -> tuple[str, ...]:
    """All names of the API server, as kubeadm has them, without those that stand for every address (0.0.0.0, ::)."""
    service = "kubernetes.default"
    found = [
        "localhost",
        "127.0.0.1",
        node_name,
        node_ip,
        "kubernetes",
        service,
        f"{service}.svc",
        f"{service}.svc.{cluster_domain}",
        *addresses,
    ]
    return tuple(dict.fromkeys(name for name in found if name and not is_any(name)))


def _hear(changes: socket.socket, changed: asyncio.Event) -> None:
    try:
        while data := changes.recv(1 << 16):
            if is_change(data):
                changed.set()
    except BlockingIOError:
        pass
    except OSError as error:  # ENOBUFS: more was told than fits
        log.debug("missed changes of addresses: %s", error)
        changed.set()


def is_any(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return False
