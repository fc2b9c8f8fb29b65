"""A certificate nobody has signed, and a guard over descriptors."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.kubelet.prober.peers import open_fds


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with a key and a certificate that nobody has signed and that names another host."""
    if shutil.which("openssl") is None and os.environ.get("MINIPOD_MUST_WORK") != "1":
        pytest.skip("needs openssl to make a certificate")
    directory: Path = tmp_path_factory.mktemp("tls")
    key, cert = directory / "key.pem", directory / "cert.pem"
    made = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    subprocess.run(
        ["openssl", "req", *made, "-subj", "/CN=elsewhere", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    whole = directory / "both.pem"
    whole.write_bytes(key.read_bytes() + cert.read_bytes())
    return str(whole)


@pytest.fixture
async def no_leaks() -> AsyncIterator[None]:
    """What a test has opened is closed again; only the servers of the test may be a little late."""
    before = open_fds()
    yield
    async with asyncio.timeout(5):
        while open_fds() > before:  # noqa: ASYNC110 (nothing tells when a descriptor is closed)
            await asyncio.sleep(0.001)
