"""The SQLite file: one table of encoded objects, opened by one daemon at a time.

How safe a write is. Write-ahead log, so neither kill -9 nor a power cut can corrupt the file. A commit is a
write(2) into the log, which the kernel keeps when the process dies: kill -9 loses nothing that was acknowledged.
Against a power cut it takes an fsync as well (`synchronous=FULL`), which costs 0.4 ms here and 10 ms on a disk
with a real platter. So only batches that hold something a user said (create, change, delete) pay for it; statuses
and events are observations of processes that a power cut ends too, and are written with `synchronous=NORMAL`.

Since a power cut may lose the last such versions, and no version may ever stand for two different states, the
first start after a reboot goes on far above the last version it finds (BOOT_GAP).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from minipod.storage.errors import DatabaseError, WriteFailedError
from minipod.storage.interface import Key

SCHEMA_VERSION = 1
APPLICATION_ID = 0x6D506F64  # "mPod": file(1) and we ourselves know the file by it
BOOT_GAP = 100_000
"""More versions than can be written between two syncs of the log (which SQLite syncs every 1000 pages)."""
LOG_ROOM = 4 << 20
"""Bytes of the disk that the write-ahead log has for itself: as long as it can be written, pods can be deleted."""

_MIGRATIONS: dict[int, Sequence[str]] = {
    1: (
        "CREATE TABLE objects (resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,"
        " version INTEGER NOT NULL, written_at REAL NOT NULL, value BLOB NOT NULL,"
        " PRIMARY KEY (resource, namespace, name))",
        "CREATE TABLE counters (name TEXT PRIMARY KEY, value NOT NULL)",
    ),
}
"""Statements that lead to each schema version from the one before; a file of an older version runs those it lacks."""

_PUT = (
    "INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET version = excluded.version, written_at = excluded.written_at, value = excluded.value"
)
_REMOVE = "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?"
_COUNT = "INSERT INTO counters VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"


@dataclass(frozen=True, slots=True)
class Row:
    """One object on disk; `value` is its JSON, None stands for its removal."""

    key: Key
    version: int
    written_at: float
    value: bytes | None


class Database:
    """Blocking; used by one thread at a time. Raises DatabaseError (open) and WriteFailedError (write)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._synchronous = ""
        self._boot = ""

    def open(self) -> None:
        """Open or create the file and bring it to this version's schema."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=0.2
            )
            self._prepare(self._connection)
            self._reserve()
            self._boot = _boot_id()
        except (OSError, sqlite3.Error) as error:
            self.close()
            cause = "another daemon uses it" if _is_locked(error) else str(error)
            raise DatabaseError(self.path, cause) from error

    def close(self) -> None:
        """Fold the log into the file and let go."""
        if self._connection is None:
            return
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            pass  # the log stays beside the file and is read on the next start
        self._connection.close()
        self._connection = None
        if self._boot:
            self._reserve()  # SQLite has deleted the log: without room for a new one no daemon could start

    def version(self) -> int:
        """The last version that was given out, with the gap a reboot calls for."""
        known = dict(self._execute("SELECT name, value FROM counters").fetchall())
        version = int(known.get("version", 0))
        if known.get("boot", self._boot) != self._boot:
            version += BOOT_GAP
        if known.get("boot") != self._boot:
            self.write([], version, durable=True)
        return version

    def rows(self) -> Iterator[Row]:
        """All objects, by key."""
        for resource, namespace, name, version, written_at, value in self._execute(
            "SELECT * FROM objects ORDER BY resource, namespace, name"
        ):
            yield Row(Key(resource, namespace, name), version, written_at, value)

    def write(self, rows: Sequence[Row], version: int, *, durable: bool) -> None:
        """Store and remove objects, all or none, and remember `version` as the last one given out."""
        try:
            self._set_synchronous("FULL" if durable else "NORMAL")
            self._execute("BEGIN IMMEDIATE")
            for row in rows:
                if row.value is None:
                    self._execute(_REMOVE, row.key)
                else:
                    self._execute(_PUT, (*row.key, row.version, row.written_at, row.value))
            self._execute(_COUNT, ("version", version))
            self._execute(_COUNT, ("boot", self._boot))
            self._execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            no_space = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
            raise WriteFailedError(self.path, str(error), no_space=no_space) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # EXCLUSIVE before WAL: no shared-memory file, and a second daemon is refused at once.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA journal_size_limit = 8388608")
        connection.execute("PRAGMA cache_size = -512")  # KiB; every object is in our memory already
        connection.execute("BEGIN EXCLUSIVE")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if (found or application) and application != APPLICATION_ID:
            raise DatabaseError(self.path, "it is a database of some other program")
        if found > SCHEMA_VERSION:
            raise DatabaseError(
                self.path,
                f"it was written by a newer minipod (schema {found}, this one knows {SCHEMA_VERSION}): "
                "upgrade minipod or restore a backup",
            )
        for target in range(found + 1, SCHEMA_VERSION + 1):
            for statement in _MIGRATIONS[target]:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")

    def _reserve(self) -> None:
        """Have blocks for the log before a pod can take them. SQLite passes over what is no frame of it."""
        try:
            log = os.open(f"{self.path}-wal", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(log, 0, LOG_ROOM)
            finally:
                os.close(log)
        except OSError:
            pass  # no room now, or none to be had on this file system: then writes fail when the disk is full

    def _set_synchronous(self, mode: str) -> None:
        if mode != self._synchronous:
            self._execute(f"PRAGMA synchronous = {mode}")
            self._synchronous = mode

    def _roll_back(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                pass  # some failures roll back by themselves

    def _execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        assert self._connection is not None
        return self._connection.execute(statement, values)


def _is_locked(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _boot_id() -> str:
    """The kernel's name for this boot (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
