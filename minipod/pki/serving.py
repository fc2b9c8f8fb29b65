"""The TLS side of the API's listeners: one context, whose certificate is replaced in time without a restart.

The library that makes certificates takes 10 MB; it is needed for a moment once in months, so another process has it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

PKI_DIRECTORY = "pki"
"""Below the data directory."""
RETRY = 3600.0
"""Seconds after which a failed renewal is tried again: there is a third of the certificate's life left."""
LONGEST_SLEEP = 24 * 3600.0
"""Seconds; the clock of a machine that slept, or was set, is looked at again after that."""


class CertificateError(Exception):
    """The API cannot be served over TLS. The message says why and what to do."""


class ServingCertificate:
    """`names`: what clients may call this server. `context` is good from start() on."""

    def __init__(self, directory: Path, names: Sequence[str]) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Whoever shows a certificate must show a good one; whoever shows none is anonymous.
        self.context.verify_mode = ssl.CERT_OPTIONAL
        self._directory = directory
        self._names = names
        self._renew_at = 0.0

    async def start(self) -> None:
        """Raises CertificateError."""
        await self._renew()
        self.context.load_verify_locations(str(self._directory / "ca.crt"))

    async def run(self) -> None:
        """Renew for ever, each time when two thirds of the certificate's life are over."""
        while True:
            left = self._renew_at - time.time()
            if left > 0:
                await asyncio.sleep(min(left, LONGEST_SLEEP))
                continue
            try:
                await self._renew()
            except CertificateError as error:
                log.error("%s; trying again in an hour", error)
                await asyncio.sleep(RETRY)

    async def _renew(self) -> None:
        argv = (sys.executable, "-I", "-m", "minipod.pki", str(self._directory), *self._names)
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
    return tuple(dict.fromkeys(name for name in found if name and not _is_any(name)))


def _is_any(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return False
