"""Where the journals of a node lie: which file is whose, and which go when there are too many of pods that are gone."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path

from minipod.kubelet.history.journal_file import NEW_SUFFIX, SUFFIX

MAX_DELETED = 100
"""Journals of deleted pods that are kept; the oldest goes first."""
MAX_DELETED_BYTES = 8 * 1024 * 1024

NAME_MAX = 255
"""Bytes in a file's name (pathconf(3))."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
MAX_UID = 64
_UID = re.compile(rf"[0-9A-Za-z-]{{1,{MAX_UID}}}")


class Shelf:
    """`directory` holds nothing but journals."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made = False
        self._surveyed = False
        self._paths: dict[str, Path] = {}
        self._uids: dict[str, list[str]] = {}
        self._deleted: OrderedDict[str, int] = OrderedDict()

    def survey(self, uids: Collection[str]) -> None:
        """Find what there is; pods not in `uids` are gone. Raises OSError."""
        found = []
        for path in self._directory.iterdir() if self._directory.exists() else ():
            if path.suffix == SUFFIX:
                stat = path.stat()
                found.append((stat.st_mtime_ns, path, stat.st_size))
            elif path.suffix == NEW_SUFFIX:
                path.unlink(missing_ok=True)  # a rewriting that was interrupted
        for _, path, size in sorted(found):
            stem, _, uid = path.name.removesuffix(SUFFIX).rpartition("_")
            self._remember(stem, uid, path)
            if uid not in uids:
                self._deleted[uid] = size
        self._surveyed = True
        self._clear_out()

    def holds(self, uid: str) -> bool:
        """Whether there may be something on disk for this pod: after a survey what it has not found is not there."""
        return not self._surveyed or uid in self._paths

    def place(self, namespace: str, name: str, uid: str) -> Path | None:
        """The file for a pod that is there; None for one that is gone, or whose names cannot be a file's."""
        if path := self._paths.get(uid):
            return None if uid in self._deleted else path
        if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name) and _UID.fullmatch(uid)):
            return None
        stem = _stem(namespace, name)
        path = self._directory / f"{stem}_{uid}{SUFFIX}"
        self._remember(stem, uid, path)
        return path

    def make_directory(self) -> None:
        """Raises OSError."""
        if not self._made:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._made = True

    def put_away(self, uid: str, size: int) -> None:
        """The pod is gone; its journal of `size` bytes is kept with those of the last ones. Raises OSError."""
        if uid in self._paths:
            self._deleted[uid] = size
            self._clear_out()

    def find(self, namespace: str, name: str, uid: str = "") -> Path | None:
        """The journal of a pod, without `uid` the newest one of that name."""
        known = [u for u in self._uids.get(_stem(namespace, name), ()) if not uid or u == uid]
        return self._paths[known[-1]] if known else None

    def uids(self, namespace: str, name: str) -> list[str]:
        """Of every pod of that name that has a journal, the newest last."""
        return list(self._uids.get(_stem(namespace, name), ()))

    def _remember(self, stem: str, uid: str, path: Path) -> None:
        self._paths[uid] = path
        self._uids.setdefault(stem, []).append(uid)

    def _clear_out(self) -> None:
        total = sum(self._deleted.values())
        while self._deleted and (len(self._deleted) > MAX_DELETED or total > MAX_DELETED_BYTES):
            uid, size = self._deleted.popitem(last=False)
            total -= size
            self._forget(uid).unlink(missing_ok=True)

    def _forget(self, uid: str) -> Path:
        path = self._paths.pop(uid)
        stem = path.name.removesuffix(SUFFIX).rpartition("_")[0]
        self._uids[stem].remove(uid)
        if not self._uids[stem]:
            del self._uids[stem]
        return path


def _stem(namespace: str, name: str) -> str:
    """NAMESPACE_NAME; a name too long for a file's ends in a digest of itself."""
    room = NAME_MAX - len(f"{namespace}__{SUFFIX}{NEW_SUFFIX}") - MAX_UID
    if len(name) > room:
        name = f"{name[: room - 17]}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return f"{namespace}_{name}"
