"""data_dir/pki on disk: the authority (ca.crt, ca.key) and the API's own certificate with its key (server.pem).

Every file appears whole or not at all. The authority's certificate is written after its key: where it is, all is.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from minipod.linux.replace_file import replace_file
from minipod.pki import certificates
from minipod.pki.certificates import KeyPair

AUTHORITY_NAME = "minipod-ca"
CA_CERTIFICATE = "ca.crt"
CA_KEY = "ca.key"
MAX_NAME = 64
SERVING = "server.pem"
"""Certificate and key in one file, which is replaced as a whole."""


class PkiError(Exception):
    """The certificates on disk cannot be used. The message names the file and the way out."""


class PkiDirectory:
    """Safe to be used by several processes at once. Methods raise PkiError and OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def authority(self) -> KeyPair:
        """The local authority; made by whoever asks first."""
        with self._locked():
            return self._authority(datetime.now(UTC))

    def ensure_serving(self, names: Sequence[str], now: datetime | None = None) -> datetime:
        """Have a fresh server.pem for a server reached by `names`; returns when to ask again."""
        now = now or datetime.now(UTC)
        with self._locked():
            authority = self._authority(now)
            path = self.path / SERVING
            try:
                found = path.read_bytes()
                if certificates.serves(found, authority, names, now):
                    return certificates.renewal(found)
            except (FileNotFoundError, ValueError):
                pass
            made = certificates.make_serving(authority, names, now)
            self._write(SERVING, made.certificate + made.key, mode=0o600)
            return certificates.renewal(made.certificate)

    def serves(self, name: str) -> bool:
        """Whether the API's certificate names a server so; True while there is none yet."""
        try:
            return certificates.names((self.path / SERVING).read_bytes(), name)
        except (FileNotFoundError, ValueError):
            return True

    def client(self, user: str, groups: Sequence[str]) -> KeyPair:
        """A new certificate for a user; nothing of it is kept.

        Raises PkiError also for a name that no certificate can hold (RFC 5280, ub-common-name).
        """
        for name in (user, *groups):
            if not 0 < len(name) <= MAX_NAME:
                raise PkiError(f'"{name}": a user or group in a certificate has 1 to {MAX_NAME} characters')
        return certificates.make_client(self.authority(), user, groups, datetime.now(UTC))

    def _authority(self, now: datetime) -> KeyPair:
        certificate, key = self.path / CA_CERTIFICATE, self.path / CA_KEY
        if not certificate.exists():
            made = certificates.make_authority(AUTHORITY_NAME, now)
            self._write(CA_KEY, made.key, mode=0o600)
            self._write(CA_CERTIFICATE, made.certificate, mode=0o644)
            return made
        try:
            found = KeyPair(certificate.read_bytes(), key.read_bytes())
            together = certificates.belong_together(found)
        except (FileNotFoundError, ValueError) as error:
            raise PkiError(self._advice(f"cannot be read: {error}")) from error
        if not together:
            raise PkiError(self._advice("do not belong together"))
        if (end := certificates.end(found.certificate)) <= now:
            raise PkiError(self._advice(f"were good until {end:%Y-%m-%d} only"))
        return found

    def _advice(self, problem: str) -> str:
        return (
            f"{self.path / CA_CERTIFICATE} and {CA_KEY} {problem}; put back the right files, or remove {self.path} "
            "to have new ones made (kubeconfigs made before then no longer fit)"
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _write(self, name: str, data: bytes, *, mode: int) -> None:
        # Durable, or a power failure takes back an authority that clients know already.
        replace_file(self.path / name, data, mode=mode, durable=True)
