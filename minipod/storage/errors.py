"""What the store can answer instead of doing as asked.

StorageError
    WriteFailedError        nothing was stored: the disk is full or broken
    ExpiredError            a watch from a version that is no longer covered
    DatabaseError           the file cannot be used at all (at start)
"""

from __future__ import annotations

from pathlib import Path


class StorageError(Exception):
    """Root of this package's errors."""


class WriteFailedError(StorageError):
    """A write was rolled back. `no_space`: it may succeed once there is room on the disk."""

    def __init__(self, path: Path, cause: str, *, no_space: bool) -> None:
        super().__init__(f"cannot write {path}: {cause}")
        self.no_space = no_space


class ExpiredError(StorageError):
    """Changes after `version` are no longer all known; the oldest version to watch from is `oldest`."""

    def __init__(self, version: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {version} ({oldest})")
        self.version = version
        self.oldest = oldest


class DatabaseError(StorageError):
    """The database cannot be opened: held by another daemon, not a database, or of a newer minipod."""

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(f"cannot open {path}: {cause}")
